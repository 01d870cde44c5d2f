"""Files of step series: what times and units are read as, and what is refused or noted rather than guessed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from scheduler_sim.engine.errors import InvalidParameter, InvalidTrace
from scheduler_sim.engine.series import KINDS
from scheduler_sim.engine.series.reading import ReadSeries, read_series
from scheduler_sim.engine.series.units import other_unit


def of_stamps(folder: Path, stamps: pa.Array, time_zone: str = "") -> ReadSeries:
    file = folder / "stamps.parquet"
    parquet.write_table(pa.table({"timestamp": stamps, "carbon_intensity": [1.0, 2.0, 3.0]}), file)
    return read_series(file, kind="carbon", time_zone=time_zone)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize(
    "begin",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(1972, 5, 1, tzinfo=UTC),
        datetime(2022, 1, 1, tzinfo=UTC),
    ],
)
def test_time_stamps_of_any_year_and_unit_are_dates(tmp_path: Path, unit: str, begin: datetime) -> None:
    quarters = [begin + timedelta(minutes=15 * place) for place in range(3)]
    read = of_stamps(tmp_path, pa.array(quarters, pa.timestamp(unit)))
    assert read.is_dated
    assert read.steps.times.tolist() == [one.timestamp() for one in quarters]


def test_days_are_dates(tmp_path: Path) -> None:
    days = pa.array([datetime(1970, 1, day, tzinfo=UTC).date() for day in (1, 2, 3)], pa.date32())
    read = of_stamps(tmp_path, days)
    assert (read.is_dated, read.steps.times.tolist()) == (True, [0.0, 86_400.0, 172_800.0])
    assert read.audit["notes"] == ["Times name no zone: they are read as UTC."]
    read = of_stamps(tmp_path, days.cast(pa.date64()), time_zone="Europe/Amsterdam")
    assert read.steps.times.tolist() == [-3600.0, 82_800.0, 169_200.0]


def test_time_stamps_with_a_zone_are_the_same_instants(tmp_path: Path) -> None:
    hours = [datetime(2022, 1, 1, hour, tzinfo=timezone(timedelta(hours=2))) for hour in range(3)]
    read = of_stamps(tmp_path, pa.array(hours, pa.timestamp("us", "Europe/Helsinki")))
    assert read.steps.times.tolist() == [one.timestamp() for one in hours]


def test_time_stamps_below_a_millisecond_are_read(tmp_path: Path) -> None:
    begin = datetime(2022, 1, 1, tzinfo=UTC)
    minutes = [begin + timedelta(minutes=place, microseconds=1) for place in range(3)]
    read = of_stamps(tmp_path, pa.array(minutes, pa.timestamp("us")))
    assert read.steps.times == pytest.approx([1640995200.000001 + 60 * place for place in range(3)], abs=1e-6)
    nanoseconds = pa.array(np.array([1, 60 * 10**9 + 1, 120 * 10**9 + 1]), pa.timestamp("ns"))
    assert of_stamps(tmp_path, nanoseconds).steps.times.tolist() == [0.0, 60.0, 120.0]


def test_a_row_without_a_time_stamp_is_refused_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidTrace, match=r"line 2: .* is no time"):
        of_stamps(
            tmp_path,
            pa.array([datetime(2022, 1, 1, tzinfo=UTC), None, datetime(2022, 1, 2, tzinfo=UTC)], pa.timestamp("us")),
        )


@pytest.mark.parametrize(
    ("kind", "unit", "column", "told"),
    [
        ("price", "USD/kWh", "Price (EUR/MWhe)", "EUR/MWh"),
        ("price", "USD/MWh", "Price (EUR/MWhe)", "EUR/MWh"),
        ("price", "USD/kWh", "price_usd_per_mwh", "USD/MWh"),
        ("price", "USD/MWh", "price_usd_per_mwh", ""),
        ("price", "USD/MWh", "Price $/MWh", ""),
        ("price", "USD/kWh", "price_eur", "EUR"),
        ("price", "USD/kWh", "price", ""),
        ("carbon", "g/kWh", "carbon_intensity_kg_per_kwh", "kg/kWh"),
        ("carbon", "kg/kWh", "carbon_intensity_kg_per_kwh", ""),
        ("carbon", "g/kWh", "Carbon intensity gCO₂eq/kWh (Life cycle)", ""),
        ("carbon", "g/kWh", "Carbon Intensity kgCO2e/MWh", ""),
        ("carbon", "g/kWh", "carbon_intensity (lbs CO2/MWh)", "lb/MWh"),
        ("carbon", "g/kWh", "g_per_kwh", ""),
        ("carbon", "g/kWh", "carbon_intensity", ""),
        ("power_cap", "W", "power_cap_kw", "kW"),
        ("power_cap", "W", "Power cap [W]", ""),
        ("power_cap", "MW", "watts", "W"),
        ("pue", "number", "pue", ""),
    ],
)
def test_the_unit_that_a_name_tells_is_compared_with_that_of_the_values(
    kind: str, unit: str, column: str, told: str
) -> None:
    assert other_unit(KINDS[kind], unit, column) == told


def test_values_in_another_unit_than_the_kinds_own_are_refused_until_their_unit_is_said(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("Datetime (UTC),Price (EUR/MWhe)\n2022-01-01 00:00,120.5\n2022-01-01 01:00,90\n", encoding="utf-8")
    with pytest.raises(InvalidTrace, match="tells EUR/MWh, and values are taken as USD/kWh; say with --unit"):
        read_series(file, kind="price")
    read = read_series(file, kind="price", unit="USD/MWh")
    assert read.steps.values.tolist() == [0.1205, 0.09]
    assert [note for note in read.audit["notes"] if "tells EUR/MWh; its values are read as USD/MWh" in note]
    file.write_text("time,power_cap_kw\n0,4\n3600,3\n", encoding="utf-8")
    assert read_series(file, kind="power_cap", unit="kW").steps.values.tolist() == [4000.0, 3000.0]
    assert read_series(file, kind="power_cap", unit="kW").audit["notes"] == []


@pytest.mark.parametrize("packed", ["csv", "parquet"])
def test_hours_of_a_zone_that_changes_its_clocks_are_told_apart(tmp_path: Path, packed: str) -> None:
    autumn = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"]
    first = datetime(2024, 10, 26, 23, tzinfo=UTC).timestamp()

    def written(stamps: list[str]) -> Path:
        prices = [20.0, -5.0, -6.0, 7.0]
        if packed == "csv":
            rows = [f"{stamp};{price}" for stamp, price in zip(stamps, prices, strict=True)]
            (tmp_path / "prices.csv").write_text("\n".join(["datetime;price", *rows]), encoding="utf-8")
        else:
            times = pa.array([datetime.fromisoformat(stamp) for stamp in stamps], pa.timestamp("ms"))
            parquet.write_table(pa.table({"datetime": times, "price": prices}), tmp_path / "prices.parquet")
        return tmp_path / f"prices.{packed}"

    read = read_series(written(autumn), kind="price", time_zone="Europe/Amsterdam")
    assert read.steps.times.tolist() == [first + 3600.0 * hour for hour in range(4)]
    assert read.steps.values.tolist() == [20.0, -5.0, -6.0, 7.0]
    assert read.audit["notes"] == ["Times name no zone: they are read as Europe/Amsterdam."]
    with pytest.raises(InvalidTrace, match=r"a second value for one time. Times name no zone, .* by --time-zone"):
        read_series(written(autumn), kind="price")
    spring = ["2024-03-31 00:00", "2024-03-31 01:00", "2024-03-31 02:00", "2024-03-31 03:00"]
    with pytest.raises(InvalidTrace, match=r"2024-03-31.02:00.* is skipped by Europe/Amsterdam"):
        read_series(written(spring), kind="price", time_zone="Europe/Amsterdam")
    with pytest.raises(InvalidParameter, match="'Europe/Nowhere' is no time zone"):
        read_series(written(autumn), kind="price", time_zone="Europe/Nowhere")


def test_a_file_without_rows_is_refused_and_times_in_utc_come_before_others(tmp_path: Path) -> None:
    file = tmp_path / "ember.csv"
    file.write_text("Datetime (UTC),Datetime (Local),Price\n", encoding="utf-8")
    with pytest.raises(InvalidTrace, match=r"ember.csv holds no rows"):
        read_series(file, kind="price")
    with file.open("a", encoding="utf-8") as rows:
        rows.write("2024-01-01 00:00:00,2024-01-01 01:00:00,-3.5\n2024-01-01 01:00:00,2024-01-01 02:00:00,4\n")
    read = read_series(file, kind="price")
    assert read.audit["time_column"] == "Datetime (UTC)"
    assert read.steps.times[0] == datetime(2024, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("rows", "hours", "values"),
    [
        (["03:00;4", "02:00;3", "02:00;2", "01:00;1"], [0, 1, 2, 3], [1, 2, 3, 4]),
        (["01:00;1", "02:00;2", "02:00;2", "02:00;3", "02:00;3", "03:00;4"], [0, 1, 2, 3], [1, 2, 3, 4]),
        (["01:00;1", "02:00;2", "02:00;2", "03:00;4"], [0, 1, 2, 3], [1, 2, 2, 4]),
        (["02:00;2", "02:30;3", "02:00;2", "02:30;5"], [1, 1.5, 2, 2.5], [2, 3, 2, 5]),
        (["02:30;5", "02:00;2", "02:30;3", "02:00;2"], [1, 1.5, 2, 2.5], [2, 3, 2, 5]),
        (["01:00;1", "01:00;1", "02:00;", "02:00;3", "03:00;4"], [0, 2, 3], [1, 3, 4]),
    ],
)
def test_an_hour_that_stands_twice_is_told_by_the_way_that_the_file_goes(
    tmp_path: Path, rows: list[str], hours: list[float], values: list[float]
) -> None:
    read = _read(tmp_path, "time;price", *(f"2024-10-27 {row}" for row in rows))
    first = datetime(2024, 10, 26, 23, tzinfo=UTC).timestamp()
    assert ((read.steps.times - first) / 3600).tolist() == hours
    assert read.steps.values.tolist() == values


@pytest.mark.parametrize(
    ("rows", "zone", "sentence"),
    [
        (
            ["2024-10-27 02:00;1", "2024-10-27 02:00;2", "2024-10-27 02:00;3"],
            "Europe/Amsterdam",
            "line 4: a second value",
        ),
        (
            [f"2024-10-27 0{hour}:00;{hour}.{place}" for place, hour in enumerate((3, 2, 5, 2, 6))],
            "Europe/Amsterdam",
            "line 5: '2024-10-27 02:00' is shown twice by Europe/Amsterdam; which is which is told by rows in order",
        ),
        (["2024-01-01;1", "0001-01-01 00:00;2"], "Europe/Amsterdam", "line 3: '0001-01-01 00:00' is outside the years"),
        (["9999-12-31 22:00;1", "2024-01-01;2"], "America/New_York", "line 2: '9999-12-31 22:00' is outside the years"),
        (["2024-01-01;1;2"], "", "line 2: 3 fields where 2 belong"),
        (["2024-01-01;", "2024-01-02;n/a"], "", "holds no value in column 'price'"),
    ],
)
def test_rows_without_meaning_are_refused_by_their_line(
    tmp_path: Path, rows: list[str], zone: str, sentence: str
) -> None:
    with pytest.raises(InvalidTrace, match=sentence):
        _read(tmp_path, "time;price", *rows, time_zone=zone)


def test_a_time_stamp_behind_all_calendars_is_refused(tmp_path: Path) -> None:
    stamps = pa.array([0, 400_000_000_000, 400_000_003_600], pa.timestamp("s"))
    with pytest.raises(InvalidTrace, match=r"line 2: .* is outside the years 1 to 9999"):
        of_stamps(tmp_path, stamps, time_zone="Europe/Amsterdam")


@pytest.mark.parametrize(
    ("header", "row", "column"),
    [
        ('"x";"time";"carbon intensity"', '"a;b";"2024-01-0{}";"{}"', "carbon intensity"),
        ('time;"carbon intensity (direct, LCA)"', "2024-01-0{};{}", "carbon intensity (direct, LCA)"),
        ('time,"carbon intensity; direct; LCA"', "2024-01-0{},{}", "carbon intensity; direct; LCA"),
        ("x;time;carbon intensity, direct", "a;2024-01-0{};{}", "carbon intensity, direct"),
    ],
)
def test_a_header_is_read_as_the_rows_below_it(tmp_path: Path, header: str, row: str, column: str) -> None:
    read = _read(tmp_path, "", header, row.format(1, 10), "", row.format(2, 20), kind="carbon", time_zone="")
    assert (read.audit["value_column"], read.steps.values.tolist()) == (column, [10.0, 20.0])
    with pytest.raises(InvalidTrace, match="line 5: 'much' is no number"):
        _read(tmp_path, "", header, row.format(1, 10), "", row.format(2, "much"), kind="carbon", time_zone="")


@pytest.mark.parametrize(
    ("header", "times", "a_second", "note"),
    [
        ("timestamp", [1640995200, 1640998800], 10**6, ""),
        ("timestamp", [1640995200, 1640998800], 10**9, ""),
        ("timestamp_ms", [0, 900], 1000, "counted in milliseconds"),
        ("time (h)", [0, 3600], 1 / 3600, "counted in hours, as the name of their column"),
        ("Time (min)", [0, 300], 1 / 60, "counted in minutes"),
        *((header, [1640995200, 1640998800], 1, "") for header in ("time_hour", "Time US", "time_us")),
        *((header, [0, 300], 1, "") for header in ("time_us_eastern", "Time (5 min)", "Time_5_min", "Time UTC+2 h")),
    ],
)
def test_times_are_read_in_the_unit_that_they_are_counted_in(
    tmp_path: Path, header: str, times: list[int], a_second: float, note: str
) -> None:
    rows = [f"{round(time * a_second)},{value}" for time, value in zip(times, (1.5, 1.2), strict=True)]
    _read_as(tmp_path, f"{header},pue", rows, times, [1.5, 1.2], note)


@pytest.mark.parametrize(
    ("header", "rows", "times", "values", "note"),
    [
        ("time\tpue", ["0\t1,25", "60\t1.5"], [0, 60], [1.25, 1.5], "1 values have a decimal comma."),
        ("time;pue", ["0;1,25", "60;N/A", "120; 1,5 "], [0, 120], [1.25, 1.5], "1 rows have no value: the one before"),
        ("time;pue", ["0;-", "60;1", "120;2", "180;"], [60, 120], [1, 2], "2 rows at the ends have no value"),
        (
            "time,pue",
            ["0,120", "60,140"],
            [0, 60],
            [120, 140],
            "The mean of 130 lies above 4, which looks",
        ),
        ("time,carbonIntensity", ["0,.3", "60,.5"], [0, 60], [0.3, 0.5], "The mean of 0.4 g/kWh lies below 2, which"),
        ("time,price", ["0,80", "60,-20"], [0, 60], [80, -20], "Values are read as USD/kWh"),
    ],
)
def test_plausible_files_are_read_and_what_looks_like_another_unit_is_noticed(
    tmp_path: Path, header: str, rows: list[str], times: list[float], values: list[float], note: str
) -> None:
    _read_as(tmp_path, header, rows, times, values, note)


def _read_as(
    tmp_path: Path, header: str, rows: list[str], times: Sequence[float], values: list[float], note: str
) -> None:
    kind = next((kind for kind in ("pue", "price") if header.endswith(kind)), "carbon")
    read = _read(tmp_path, header, *rows, kind=kind, time_zone="")
    assert (read.steps.times.tolist(), read.steps.values.tolist()) == (times, values)
    assert [one for one in read.audit["notes"] if note in one] if note else not read.audit["notes"]


def _read(folder: Path, *lines: str, kind: str = "price", time_zone: str = "Europe/Amsterdam") -> ReadSeries:
    file = folder / "series.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    return read_series(file, kind=kind, time_zone=time_zone)
