"""A suite over Ray workers: each loads the system once and answers whole blocks, so the answers are the same ones."""

import os
from collections.abc import Iterator

from cuewise.eval.asking import RunConfig, answer_block, open_system
from cuewise.eval.blocks import Block, made_block
from cuewise.eval.journal import Line
from cuewise.eval.suites.suite import Suite, SuiteError


def answer_with_ray(config: RunConfig, suite: Suite, todo: list[Block]) -> Iterator[tuple[Block, list[Line]]]:
    """Blocks with their lines, in the order in which they finish.

    Uses the cluster that `RAY_ADDRESS` names, else starts a local one with `config.ray` workers. Raises SuiteError
    when Ray is not installed; a worker that dies is started again and its block asked once more.
    """
    try:
        import ray
    except ImportError:
        raise SuiteError("--ray needs Ray; install it with: pip install 'cuewise[serve]'") from None
    started = not ray.is_initialized()
    if started:
        local = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": config.ray, "include_dashboard": False}
        ray.init(log_to_driver=False, **local)
    try:
        worker = ray.remote(num_cpus=1, max_restarts=2, max_task_retries=2)(Worker)
        workers = [worker.remote(config, suite) for _ in range(min(config.ray, max(len(todo), 1)))]
        waiting = list(todo)
        running = {}
        for actor in workers:
            if waiting:
                block = waiting.pop(0)
                running[actor.answer.remote(block)] = (actor, block)
        while running:
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            actor, block = running.pop(done)
            yield block, ray.get(done)
            if waiting:
                following = waiting.pop(0)
                running[actor.answer.remote(following)] = (actor, following)
        ray.get([actor.close.remote() for actor in workers])
    finally:
        if started:
            ray.shutdown()


class Worker:
    """One copy of the system under test."""

    def __init__(self, config: RunConfig, suite: Suite):
        self.config, self.suite, self.system = config, suite, open_system(config)

    def answer(self, block: Block) -> list[Line]:
        return answer_block(made_block(block, self.suite), self.suite, self.system, self.config)

    def close(self) -> None:
        self.system.close()
