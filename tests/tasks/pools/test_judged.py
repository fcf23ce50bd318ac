"""A pool held against the gold answer."""

from decimal import Decimal

from latent_tts.tasks import Candidate, Pool, judge_pool


def make_pool(*answers, beams=()):
    def candidates(given):
        return tuple(
            Candidate(text="", answer=answer, thoughts=6, answer_tokens=1, truncated=False)
            for answer in given
        )

    return Pool(candidates(answers), candidates(beams))


def test_equal_numbers_have_one_key_and_are_right_together():
    judged = judge_pool(make_pool("18.0", "$18", "7", None, "eighteen"), "18")
    assert judged.keys == ("18", "18", "7", None, None)
    assert judged.right == {"18"}
    assert judged.correct == (True, True, False, False, False)
    assert judged.rewards == (None,) * 5


def test_a_tolerance_makes_several_keys_right():
    judged = judge_pool(make_pool("1.999", "2.001", "3"), "2", tolerance=Decimal("0.001"))
    assert judged.right == {"1.999", "2.001"}


def test_texts_have_keys_but_are_never_right():
    judged = judge_pool(make_pool(r"\pi", r" \pi", None), "3")
    assert judged.keys == (r"\pi", r"\pi", None)
    assert judged.correct == (False, False, False)


def test_beams_are_judged_too():
    pool = make_pool("7", beams=["18.00", None])
    judged = judge_pool(pool, "18")
    assert judged.is_right(pool.beams[0])
    assert not judged.is_right(pool.beams[1])
    assert not judged.is_right(None)
