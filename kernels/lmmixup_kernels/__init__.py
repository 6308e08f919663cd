"""Log-probabilities without logits, GRPO losses, group advantages, exact top-k and components.

Each op runs in Triton on a GPU and in plain torch elsewhere, which is said once by a warning.
`lmmixup_kernels.trl` has the trainer, `lmmixup_kernels.aot` compiles every kernel without a GPU.
"""

from lmmixup_kernels.backend import FallbackWarning
from lmmixup_kernels.components import components
from lmmixup_kernels.group_advantage import GroupAdvantage, group_advantage
from lmmixup_kernels.grpo_loss import GrpoLoss, grpo_loss
from lmmixup_kernels.head_loss import lm_head_loss
from lmmixup_kernels.knn_bayes import KnnBayes, knn_bayes
from lmmixup_kernels.logprobs import LogProbs, lm_head_logprobs
from lmmixup_kernels.screen import Screen, ScreenedTopK, screen, screened_topk
from lmmixup_kernels.topk import TopK, streaming_topk
from lmmixup_kernels.vocab_parallel import vocab_parallel_logprobs

__all__ = [
    "FallbackWarning",
    "GroupAdvantage",
    "GrpoLoss",
    "KnnBayes",
    "LogProbs",
    "Screen",
    "ScreenedTopK",
    "TopK",
    "components",
    "group_advantage",
    "grpo_loss",
    "knn_bayes",
    "lm_head_logprobs",
    "lm_head_loss",
    "screen",
    "screened_topk",
    "streaming_topk",
    "vocab_parallel_logprobs",
]
