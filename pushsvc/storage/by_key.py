"""The state of a row that is known by its key, in a form that no index of open rows fits.

Where next to nothing was open when Postgres last looked, it takes such an index for the shorter
way to a row, and reads all that is open now: a millisecond for each of 5,000 batches of a push.
"""

from typing import Final

#: of `pushes`
PUSH_STATE: Final = "(pushes.state || '')"
#: of `batches`
BATCH_STATE: Final = "(batches.state + 0)"
#: of batches that wait, of one push: its own are found by it, and not all that wait
UNTAKEN: Final = f"{BATCH_STATE} = 0 AND batches.state <> 2"
