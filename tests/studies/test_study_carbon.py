"""What studies say of the carbon that policies save."""

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command

from apps.results.models import Study
from apps.studies.play.execution import study_play
from apps.studies.report.carbon_words import carbon_sentences
from apps.studies.report.figures import study_values
from apps.studies.report.words import place_in_words, study_sentences
from tests.files import written
from tests.studies.test_studies import definition

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_this_process")]


def test_a_study_says_how_much_carbon_a_policy_saves_and_what_that_costs_in_waiting(tmp_path: Path) -> None:
    days = [100.0 + 80.0 * (hour % 24 < 12) for hour in range(240)]
    lines = ["time,carbon_intensity", *(f"{3600 * hour},{value}" for hour, value in enumerate(days))]
    file = written(tmp_path / "days.csv", "\n".join(lines))
    call_command("importseries", file, kind="carbon", name="days", stdout=StringIO())
    held = {"series": "days", "series_beyond": "repeat", "policies": ["fcfs", "lowest_window+easy"]}
    outcome = study_play(definition(clusters=["hpc-256"], load_factors=[0.8], seeds=3, **held))
    found = study_sentences(outcome.study, [], figure="mean_wait_time", base="fcfs")
    (said,) = [text for text in found if text.startswith("lowest_window+easy saves")]
    saved = study_values(outcome.study, ["carbon_kg"])["carbon_kg"]
    ((_, carbon),) = saved.items()
    part = np.mean([1 - carbon["lowest_window+easy"][seed] / carbon["fcfs"][seed] for seed in (1, 2, 3)])
    assert f"saves {part:.1%} of the carbon of tasks under fcfs (" in said
    assert " of mean wait (" in said
    assert said.endswith("95% intervals over 3 seeds.")
    unknown = study_sentences(outcome.study, [], figure="mean_wait_time", base="sjf")
    assert not [text for text in unknown if "saves" in text]


def test_figures_of_carbon_are_read_only_for_studies_that_name_a_series(django_assert_num_queries: Any) -> None:
    asked: list[tuple[dict[str, Any], int]] = [
        ({}, 0),
        ({"variants": [{}, {"limit": 5}]}, 0),
        ({"series": "days"}, 1),
        ({"variants": [{"series": "days"}]}, 1),
    ]
    for described, queries in asked:
        with django_assert_num_queries(queries):
            assert carbon_sentences(Study(pk=1, definition=described), "fcfs", place_in_words) == []
