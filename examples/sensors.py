"""Three sensors and a thermostat, combined in three ways.

Output::

    first pair: (20.5, 41)
    at 20.5 degrees and 41 %
    at 23.0 degrees and 41 %
    above the target of 22.0: 23.0
    second pair: (23.0, 55)
    at 23.0 degrees and 55 %
    at 19.0 degrees and 55 %
    5 readings in all, the last from temperature
"""

from __future__ import annotations

from rapidz import Stream


def main() -> None:
    temperature = Stream[float](stream_name="temperature")
    humidity = Stream[int](stream_name="humidity")
    target = Stream[float](stream_name="target")

    # Pairs by position: emits when both inputs have an element; the faster input is buffered.
    names = iter(("first", "second"))
    temperature.zip(humidity).sink(lambda pair: print(f"{next(names)} pair: {pair}"))

    # The latest of each: emits whenever one of them changes.
    temperature.combine_latest(humidity).sink(
        lambda pair: print(f"at {pair[0]} degrees and {pair[1]} %")
    )

    # Each element of one input with the latest of the other.
    above = temperature.zip_latest(target).filter(lambda pair: pair[0] > pair[1])
    above.sink(lambda pair: print(f"above the target of {pair[1]}: {pair[0]}"))

    # All elements of both inputs, in order of arrival.
    named = temperature.map(lambda _: "temperature").union(humidity.map(lambda _: "humidity"))
    readings = named.sink_to_list()

    target.emit(22.0)
    temperature.emit(20.5)
    humidity.emit(41)
    temperature.emit(23.0)
    humidity.emit(55)
    temperature.emit(19.0)
    print(f"{len(readings)} readings in all, the last from {readings[-1]}")
    for sensor in (temperature, humidity, target):
        sensor.close()  # the last temperature has no partner: exit would warn about it


if __name__ == "__main__":
    main()
