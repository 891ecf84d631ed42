"""The simulation, on cases whose answer can be worked out by hand: a wrong model fails."""

from __future__ import annotations

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.continental.model import POLL, Demand, Load, simulate, simulate_download
from benchmarks.continental.sharing import Counter, Shared, water_fill


def load(
    parts: tuple[int, ...] = (4,), *, workers: int = 1, products: float = 1, cores: float = 2, **more: float
) -> Load:
    return Load(parts=parts, products=products, workers=workers, cores=cores, **more)  # type: ignore[arg-type]


def wall(load: Load, need: Demand) -> float:
    """Seconds until the last cube is there: a user notices half a poll later on average."""
    return simulate(load, need).wall - POLL / 2


def test_one_worker_makes_one_cube_after_the_other() -> None:
    assert wall(load((7,)), Demand(worker=1.5)) == pytest.approx(7 * 1.5)
    assert wall(load((7,), products=3), Demand(worker=0.5)) == pytest.approx(7 * 1.5)
    assert wall(load((3, 4)), Demand(worker=1.5, gap=0.5)) == pytest.approx(7 * 1.5 + 6 * 0.5)


def test_workers_are_quicker_up_to_the_cores_and_no_further() -> None:
    need = Demand(worker=2)
    times = [wall(load((12,), workers=count), need) for count in (1, 2, 4)]
    assert times == pytest.approx([24, 12, 12])


def test_cores_go_to_whatever_else_runs() -> None:
    # Two workers on two cores, and the store takes as much again before each: CPU of all / cores bounds it.
    told = simulate(load((12,), workers=2), Demand(worker=1, store=1))
    assert told.wall - POLL / 2 == pytest.approx(12 * 2 / 2)
    assert told.used == pytest.approx(24)


def test_a_relay_of_one_thread_bounds_many_workers() -> None:
    assert wall(load((40,), workers=8, cores=16), Demand(network=0.5)) == pytest.approx(20)


def test_requests_wait_for_the_latency_wave_after_wave() -> None:
    assert wall(load((5,), latency=0.03), Demand(requests=100, wave=4)) == pytest.approx(5 * 25 * 0.03)
    assert wall(load((6,), workers=3, latency=0.03), Demand(requests=100, wave=4)) == pytest.approx(2 * 25 * 0.03)


def test_answers_at_once_are_limited_by_the_provider() -> None:
    need = Demand(requests=100, wave=4)
    assert wall(load((4,), workers=4, latency=0.03, connections=4), need) == pytest.approx(4 * 25 * 0.03, rel=0.01)


def test_bytes_pass_at_the_rate_of_the_line_or_of_the_connections() -> None:
    need = Demand(sent=100, wave=2)
    assert wall(load((4,), workers=4, total=50), need) == pytest.approx(4 * 100 / 50)
    assert wall(load((4,), workers=4, total=1000, connection=20), need) == pytest.approx(100 / 40)


def test_jobs_are_planned_before_cubes_are_made() -> None:
    assert wall(load((10,)), Demand(worker=1, search=0.5, plan=0.1)) == pytest.approx(0.5 + 10 * 0.1 + 10)


def test_planning_of_many_jobs_shares_the_one_process_of_the_service() -> None:
    assert wall(load((1,) * 8, workers=8, cores=16), Demand(plan=1, service=1)) == pytest.approx(8)


def test_users_take_turns_whatever_they_ask_for() -> None:
    told = simulate(load((20, 2)), Demand(worker=1))
    assert sorted(told.done) == pytest.approx([4 + POLL / 2, 22 + POLL / 2])  # turns: 1 2 1 2, then the rest


def test_a_user_who_asks_for_nothing_is_done() -> None:
    assert simulate(load((0, 1)), Demand(worker=1)).wall == pytest.approx(1 + POLL / 2)


def test_looking_at_jobs_costs_what_others_would_use() -> None:
    alone = wall(load((8,), workers=2), Demand(worker=1))
    watched = wall(load((8,), workers=2), Demand(worker=1, poll=0.5))
    assert alone == pytest.approx(4)
    assert watched == pytest.approx(4 / 0.75, rel=0.1)


def test_downloads_share_the_line_and_cubes_are_computed_meanwhile() -> None:
    need = Demand(requests=1, sent=100)
    told = simulate_download(load((4,), products=2, total=80, connection=20, downloads=4), need)
    assert told.wall == pytest.approx(8 * 100 / 80)
    assert told.downloads == pytest.approx([5.0] * 8)
    one = simulate_download(load((4,), products=2, total=1e6, connection=20, downloads=1), need)
    assert one.wall == pytest.approx(8 * 5)
    both = simulate_download(load((4,), products=1, connection=10, downloads=1), Demand(sent=100, worker=4))
    assert both.wall == pytest.approx(4 * 10 + 4)  # only the last is computed after all was there
    busy = simulate_download(load((4,), products=2, workers=2), Demand(sent=1e-3, worker=3))
    assert busy.wall == pytest.approx(4 * 2 * 3 / 2, rel=0.01)


@given(
    wants=st.lists(st.floats(0.01, 10), min_size=1, max_size=6),
    capacity=st.floats(0.1, 20),
)
def test_a_capacity_is_used_as_far_as_it_is_wanted(wants: list[float], capacity: float) -> None:
    asked = {str(number): want for number, want in enumerate(wants)}
    given_ = water_fill(asked, dict.fromkeys(asked, 1.0), capacity)
    assert sum(given_.values()) == pytest.approx(min(capacity, sum(wants)))
    assert all(given_[name] <= want * (1 + 1e-9) for name, want in asked.items())
    least = min((given_[name] for name, want in asked.items() if given_[name] < want * (1 - 1e-9)), default=0.0)
    assert all(given_[name] <= least * (1 + 1e-9) for name in asked if least)  # nobody gets more than who wants more


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(0, 5)), min_size=1, max_size=6))
def test_work_is_neither_lost_nor_made(jobs: list[tuple[float, float]]) -> None:
    env = simpy.Environment()
    shared = Shared(env, 2)
    ended: list[float] = []

    def one(work: float, at: float):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a process of simpy
        yield env.timeout(at)
        yield shared.use(work, each=1)
        ended.append(env.now)

    for work, at in jobs:
        env.process(one(work, at))
    env.run()
    assert len(ended) == len(jobs)
    assert shared.used == pytest.approx(sum(work for work, _ in jobs))
    assert max(ended) >= max(at + work for work, at in jobs) - 1e-6  # nobody has more than one core


def test_groups_share_by_what_they_can_use_and_no_further_than_their_limit() -> None:
    env = simpy.Environment()
    shared = Shared(env, 2)
    first = shared.use(2, "relay", most=1)
    second = shared.use(2, "relay", most=1)
    third = shared.use(1, "worker", most=1)
    env.run(third)
    assert env.now == pytest.approx(1)
    env.run(env.all_of([first, second]))
    assert env.now == pytest.approx(4)


def test_a_counter_serves_one_after_the_other() -> None:
    env = simpy.Environment()
    counter = Counter(env)
    last = [counter.serve(0.5) for _ in range(4)][-1]
    env.run(last)
    assert (env.now, counter.busy) == (2.0, 2.0)
