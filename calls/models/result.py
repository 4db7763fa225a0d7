"""What the AI service made of a call; a new run replaces it as a whole."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q

from calls.models.call import Call
from calls.models.text import speech_vector
from calls.states import Sentiment, Track


class Result(models.Model):
    call = models.OneToOneField(Call, models.CASCADE, primary_key=True, related_name="result")
    run = models.PositiveIntegerField()
    transcript = models.TextField(blank=True)
    sentiment = models.CharField(max_length=8, choices=Sentiment)
    score = models.FloatField(help_text="-1 … 1")
    seconds = models.FloatField(
        default=0.0, db_default=0.0, help_text="Of the recording; 0 of results from long ago."
    )
    created_at = models.DateTimeField()
    words = models.GeneratedField(
        expression=speech_vector("transcript"), output_field=SearchVectorField(), db_persist=True
    )

    class Meta:
        indexes = [
            GinIndex(fields=["words"], name="result_words"),
            models.Index(fields=["sentiment", "-call"], name="result_by_sentiment"),
            models.Index(fields=["score", "-call"], name="result_by_score"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(score__gte=-1) & Q(score__lte=1), name="result_score"
            ),
        ]

    def __str__(self) -> str:
        return f"result of {self.call_id}"


LOW_CONFIDENCE = 0.3679
"""Below a mean logarithm of -1 recognised text is taken for rubbish."""


class Utterance(models.Model):
    """Something one side said, in seconds from the start of the recording."""

    result = models.ForeignKey(Result, models.CASCADE, related_name="utterances")
    track = models.CharField(max_length=8, choices=Track)
    start = models.FloatField()
    end = models.FloatField()
    text = models.TextField()
    sentiment = models.CharField(max_length=8, choices=Sentiment)
    score = models.FloatField()
    confidence = models.FloatField(null=True, help_text="0 … 1; null where unknown")

    class Meta:
        ordering = ["start", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(end__gte=F("start")), name="utterance_end"),
        ]

    def __str__(self) -> str:
        return f"{self.track} {self.start:.1f} s"

    @property
    def is_doubtful(self) -> bool:
        return self.confidence is not None and self.confidence < LOW_CONFIDENCE
