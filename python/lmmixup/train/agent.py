"""torchrun that ends when the process that started it does."""

from __future__ import annotations

import sys

from torch.distributed.run import main

from lmmixup.train.launch import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main(sys.argv[1:])
