GrpoLoss = None
grpo_loss = None
