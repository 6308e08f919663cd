GroupAdvantage = None
group_advantage = None
