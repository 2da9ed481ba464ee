"""Public ids."""

from pushsvc.storage.ids import ALPHABET, OBJECT_ID_LENGTH, new_application_id, new_object_id


def test_ids_are_of_letters_and_digits_all_of_which_come() -> None:
    """An object id has ten of them, and ids are long enough for any length that is asked for."""
    ids = [new_object_id() for _ in range(300)]
    assert {len(one) for one in ids} == {OBJECT_ID_LENGTH}
    assert {letter for one in ids for letter in one} == set(ALPHABET)
    assert len(set(ids)) == len(ids)
    assert len(new_application_id()) == 24
