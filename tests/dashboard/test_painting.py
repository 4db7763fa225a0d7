"""What turns the page that a browser holds into the page as it is."""

from dashboard.painting import BLANK, Painting, difference

PAGE = Painting(parts={"tiles": "3 calls"}, rows={"b": "B", "a": "A"})


def test_nothing_turns_a_page_into_itself() -> None:
    assert difference(PAGE, Painting(dict(PAGE.parts), dict(PAGE.rows))) == {}


def test_a_blank_browser_is_told_everything() -> None:
    assert difference(BLANK, PAGE) == {
        "parts": {"tiles": "3 calls"},
        "rows": {"b": "B", "a": "A"},
        "order": ["b", "a"],
    }


def test_a_part_that_changed_is_told_alone() -> None:
    after = Painting(parts={"tiles": "4 calls"}, rows=PAGE.rows)
    assert difference(PAGE, after) == {"parts": {"tiles": "4 calls"}}


def test_a_row_that_changed_is_told_without_the_order() -> None:
    after = Painting(parts=PAGE.parts, rows={"b": "B2", "a": "A"})
    assert difference(PAGE, after) == {"rows": {"b": "B2"}}


def test_a_new_row_is_told_with_its_place() -> None:
    after = Painting(parts=PAGE.parts, rows={"c": "C", "b": "B", "a": "A"})
    assert difference(PAGE, after) == {"rows": {"c": "C"}, "order": ["c", "b", "a"]}


def test_a_row_that_moved_is_not_told_again() -> None:
    after = Painting(parts=PAGE.parts, rows={"a": "A", "b": "B"})
    assert difference(PAGE, after) == {"order": ["a", "b"]}


def test_the_last_row_that_goes_leaves_an_empty_order() -> None:
    assert difference(PAGE, Painting(parts=PAGE.parts)) == {"order": []}
