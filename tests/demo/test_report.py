from __future__ import annotations

import pytest

from rapidz.demo.data import Observed
from rapidz.demo.model import CarrierDelays, DelayTally, Hour, WorstHour
from rapidz.demo.report import carrier_table, hour_table
from rapidz.demo.table import TableColumn, render


def test_text_goes_left_and_numbers_right() -> None:
    columns = [TableColumn("Name"), TableColumn("n", ",d"), TableColumn("Share", ".1%")]
    assert render(columns, [("a", 12345, 0.5), ("long name", 1, None)]).splitlines() == [
        "Name            n  Share",
        "---------  ------  -----",
        "a          12,345  50.0%",
        "long name       1      -",
    ]


def test_a_table_without_rows_is_its_heading() -> None:
    assert render([TableColumn("Name"), TableColumn("n", "d")], []) == "Name  n\n----  -"


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        render([TableColumn("Name"), TableColumn("n", "d")], [("a",)])


def test_carriers_end_with_all_of_them_together() -> None:
    tables = [
        CarrierDelays("One", DelayTally(3, 1, 1, 30, 25)),
        CarrierDelays("Two", DelayTally(1, 0, 0, -2, 0)),
    ]
    assert carrier_table(tables).splitlines()[2:] == [
        "Airline       Flights  Cancelled   Late  Mean delay  Worst",
        "------------  -------  ---------  -----  ----------  -----",
        "One                 4      25.0%  33.3%        10.0     25",
        "Two                 1       0.0%   0.0%        -2.0      0",
        "All airlines        5      20.0%  25.0%         7.0     25",
    ]


def test_a_carrier_that_never_left_has_no_delay() -> None:
    table = carrier_table([CarrierDelays("None", DelayTally(cancelled=2))])
    assert "None                2     100.0%     -           -      -" in table.splitlines()


def test_hours_show_their_weather_or_that_there_is_none() -> None:
    hour = Hour("2013-07-28", 9, "LGA", 18, 197.04, 812)
    rows = [WorstHour(hour, Observed(17.3, 0.0, None)), WorstHour(hour, None)]
    with_weather, without = hour_table(rows).splitlines()[-2:]
    common = ["2013-07-28", "09:00", "LGA", "18", "197.0", "812"]
    assert with_weather.split() == [*common, "17", "0.00", "-"]
    assert without.split() == [*common, "-", "-", "-"]


def test_no_hours_are_said_to_be_none() -> None:
    assert hour_table([]).endswith(": none\n")
