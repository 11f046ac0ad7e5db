"""Pages: every item once, whatever comes and goes meanwhile, and no token but its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.api.aws.errors import AwsError
from portway.api.aws.paging import page, token_key, token_of


def pages(items: list[str], size: int) -> list[list[str]]:
    taken, token = page(items, key=str, size=size, token=None)
    found = [taken]
    for _ in range(len(items)):
        if token is None:
            break
        taken, token = page(items, key=str, size=size, token=token)
        found.append(taken)
    return found


@given(items=st.lists(st.text(max_size=4), unique=True, max_size=20), size=st.integers(1, 7))
def test_every_item_is_on_one_page_in_order(items: list[str], size: int) -> None:
    found = pages(items, size)
    assert [item for each in found for item in each] == sorted(items)
    assert all(len(each) == size for each in found[:-1])


def test_what_comes_and_goes_between_pages_moves_nothing() -> None:
    _, token = page(["a", "b", "c", "d"], key=str, size=2, token=None)
    assert page(["a", "aa", "c", "d"], key=str, size=2, token=token) == (["c", "d"], None)


@pytest.mark.parametrize("token", ["x", "!", "é", "A" * 40, "A" * 5000, "eJwDAAAAAAE"])
def test_garbage_is_refused_with_the_code_of_the_service(token: str) -> None:
    with pytest.raises(AwsError) as caught:
        page(["a"], key=str, size=1, token=token, code="ExpiredToken", message="Gone.")
    assert (caught.value.code, caught.value.message) == ("ExpiredToken", "Gone.")


def test_a_token_of_another_listing_is_refused() -> None:
    _, token = page(["a", "b"], key=str, size=1, token=None, scope="x")
    with pytest.raises(AwsError):
        page(["a", "b"], key=str, size=1, token=token, scope="y")


def test_a_token_says_after_which_key_its_page_begins() -> None:
    token = token_of("a/b", scope="tasks")
    assert token_key(token, scope="tasks") == "a/b"
    assert token_key(None, scope="tasks") == ""
    with pytest.raises(AwsError, match="Invalid token"):
        token_key(token, scope="others")
