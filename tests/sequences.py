"""Plain and fast sequences side by side, for tests of the search."""

import torch

from seqrl.beam_search import Full


def side_by_side(fast):
    """`Full` and a fast kind as one; `far` remembers how far apart their logits were."""

    class Both:
        far = 0.0

        def __init__(self, *given):
            self.plain, self.fast = Full(*given), fast(*given)

        @property
        def imagined(self):
            assert torch.equal(self.plain.imagined, self.fast.imagined)
            return self.plain.imagined

        @property
        def logits(self):
            a, b = self.plain.logits, self.fast.logits
            assert torch.equal(torch.isfinite(a), torch.isfinite(b))
            Both.far = max(Both.far, float((a - b)[torch.isfinite(a)].abs().max()))
            return a

        def append(self, tokens, read=True):
            self.plain.append(tokens, read), self.fast.append(tokens, read)

        def select(self, rows):
            self.plain.select(rows), self.fast.select(rows)

    return Both
