"""A second person is another one: names that are equal, or look so, are one person's."""

from __future__ import annotations

import pytest

from birddog.persons import same_person


@pytest.mark.parametrize("one,other", [
    ("ann", "ANN "), ("ann", "аnn"), ("ANN", "АNΝ"), ("noor", "n\u043e\u043er"), ("noor", "no\u200bor"), ("noor", "ｎｏｏｒ"),
    ("noor", "n00r"), ("lia", "Iia"), ("lia", "1ia"), ("Ali", "Al\u0456"), ("maria", "rnaria"), ("will", "vvill"),
    ("josé", "jose"), ("josé", "jose\u0301"), ("van der Meer", "van  derMeer"), ("Sørensen", "Sorensen"), ("straße", "STRASSE"),
    ("Paul", "Раul"), ("KOSTAS", "ΚΟSΤΑS"), ("bea", "bea\u00ad"), ("bea", "b\u0435a."),
    ("ivan", "i\u03bdan"), ("NINA", "\u039dI\u039dA"),
])  # fmt: skip
def test_one_person(one, other):
    assert same_person(one, other) and same_person(other, one)


@pytest.mark.parametrize("one,other", [
    ("ann", "bea"), ("ann", "anna"), ("noor", "nora"), ("maria", "mario"), ("ivan", "inan"), ("Анна", "Нина"),
    ("Ирина", "Марина"),
    ("王芳", "李娜"), ("محمد", "أحمد"), ("officer 7", "officer 8"), ("Jan", "Jana"),
])  # fmt: skip
def test_two_persons(one, other):
    assert not same_person(one, other)
