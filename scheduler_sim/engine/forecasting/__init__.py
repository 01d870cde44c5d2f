"""When waiting tasks of a site will start: the state of an instant played on many times."""

from scheduler_sim.engine.forecasting.accuracy import Accuracy, Scored, score
from scheduler_sim.engine.forecasting.forecast import Expected, Forecast, forecast
from scheduler_sim.engine.forecasting.future import Past

__all__ = ["Accuracy", "Expected", "Forecast", "Past", "Scored", "forecast", "score"]
