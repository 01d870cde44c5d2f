from scheduler_sim.engine.learning import rollout
import inspect
print(inspect.getsource(rollout._play_all))
