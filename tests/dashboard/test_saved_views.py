"""Views of the board that users save."""

import pytest
from django.test import Client

from calls.models import SavedView
from dashboard import board_views
from tests.dashboard.people import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    return signed_in("view_call")


def save(client: Client, name: str, query: str) -> str:
    answer = client.post("/views", {"name": name, "query": query}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_view_is_saved_and_opened_again(client: Client) -> None:
    page = save(client, "Angry at billing", "queue=Billing&sentiment=negative&after=17")
    assert "is saved" in page
    link = '<a href="/?queue=Billing&amp;sentiment=negative" aria-current="page">Angry at billing'
    assert link in page
    assert "Angry at billing" in client.get("/").content.decode()


def test_a_name_that_is_taken_gets_the_new_view(client: Client) -> None:
    save(client, "Mine", "queue=Billing")
    save(client, "Mine", "queue=Sales")
    assert SavedView.objects.get().query == "queue=Sales"


def test_a_view_is_removed(client: Client) -> None:
    save(client, "Mine", "queue=Billing")
    page = client.post(f"/views/{SavedView.objects.get().pk}/delete", follow=True)
    assert "is removed" in page.content.decode()
    assert not SavedView.objects.exists()


def test_views_are_those_of_their_user_alone(client: Client) -> None:
    save(client, "Mine", "queue=Billing")
    other = signed_in("view_call")
    assert "Mine" not in other.get("/").content.decode()
    assert other.post(f"/views/{SavedView.objects.get().pk}/delete").status_code == 404
    assert SavedView.objects.exists()


@pytest.mark.parametrize("name", ["", "   ", "\0"])
def test_a_view_needs_a_name(client: Client, name: str) -> None:
    assert "needs a name" in save(client, name, "queue=Billing")
    assert not SavedView.objects.exists()


@pytest.mark.parametrize("query", ["", "%00", "state=NONSENSE", "x" * 9000])
def test_nonsense_is_a_view_of_all_calls(client: Client, query: str) -> None:
    save(client, "n" * 500, query)
    assert (SavedView.objects.get().query, len(SavedView.objects.get().name)) == ("", 60)


def test_a_name_is_escaped(client: Client) -> None:
    assert "<script>x" not in save(client, "<script>x", "queue=<script>x")


def test_there_is_an_end_to_them(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_views, "MAX_VIEWS", 1)
    save(client, "One", "queue=Billing")
    assert "remove one first" in save(client, "Two", "queue=Sales")
    assert "is saved" in save(client, "One", "queue=Sales")


def test_who_may_not_see_the_board_saves_nothing() -> None:
    assert signed_in().post("/views", {"name": "Mine"}).status_code == 403
    assert Client().post("/views", {"name": "Mine"}).status_code == 302
    assert not SavedView.objects.exists()
