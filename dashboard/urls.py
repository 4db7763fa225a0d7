"""The addresses of the pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path, register_converter
from django.urls.converters import StringConverter

from calls.states import CALL_ID_PATTERN
from dashboard import attention_views, audit_views, board_views, views


class CallId(StringConverter):
    """Anything else is no call's, and may hold what the database does not take."""

    regex = CALL_ID_PATTERN.strip("^$")


register_converter(CallId, "call_id")

urlpatterns = [
    path("", board_views.board, name="board"),
    path("charts", board_views.charts, name="charts"),
    path("views", board_views.save, name="save-view"),
    path("views/<int:view_id>/delete", board_views.delete, name="delete-view"),
    path("calls/<call_id:call_id>/", views.call, name="call"),
    path("calls/<call_id:call_id>/recording", views.recording, name="recording"),
    path("calls/<call_id:call_id>/waveform", views.waveform, name="waveform"),
    path("calls/<call_id:call_id>/transcript", views.transcript, name="transcript"),
    path("calls/<call_id:call_id>/reprocess", views.reprocess_call, name="reprocess"),
    path("calls/<call_id:call_id>/archive", views.archive_call, name="archive"),
    path("alerts/", attention_views.alerts, name="alerts"),
    path("alerts/acknowledge", attention_views.acknowledge, name="acknowledge"),
    path("audit/", audit_views.audit, name="audit"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
