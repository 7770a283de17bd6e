"""Training that is killed, stopped or damaged continues where it was, and ends as if it never had been."""

import itertools
import os
import resource
import shutil
import signal
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.tiny_runs import ALPACA_SHAPED, OPTIONS

from ballast.files import BallastError
from ballast.trainers import sft
from ballast.training import checkpoints, fit


class Killed(BaseException):
    """What SIGKILL is to a process: nothing catches it."""


RESULT = ("adapter_model.safetensors", "adapter_config.json")
# Epochs of two steps, of which each has two micro-batches or one.
EPOCHS = OPTIONS | {"num_train_epochs": 2}
KEY = {"model": "a", "rows": "b"}


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULT]


def killed_after(monkeypatch, saves: int):
    """From now on a run is killed right after every n-th checkpoint."""
    monkeypatch.undo()
    on_save, done = checkpoints.Checkpoints.on_save, []

    def kill(callback, *arguments, **options):
        on_save(callback, *arguments, **options)
        done.append(1)
        if len(done) % saves == 0:
            raise Killed

    monkeypatch.setattr(checkpoints.Checkpoints, "on_save", kill)


@pytest.fixture
def start(model, rows, tmp_path):
    """Start the run, or start it again; 0 minutes between checkpoints are one after every step."""

    def run(options=EPOCHS, key=KEY, minutes=0.0, rows=rows, partial=tmp_path / "partial") -> dict:
        with checkpoints.unfinished(partial, key, minutes) as folder:
            return sft.train(model, rows, options, 0, tmp_path / "run", folder)

    return run


@pytest.mark.parametrize(
    ("packing", "held_out", "strategy"),
    [(False, 0, "group_by_length"), (False, 4, "random"), (True, 0, "random"), (True, 4, "group_by_length")],
)
def test_a_run_killed_again_and_again_ends_as_one_that_never_was(
    model, rows, start, tmp_path, monkeypatch, capsys, packing, held_out, strategy
):
    rows["instruction"] = [f"Say {'a' * (3 * number % 8)}." for number in range(len(rows))]
    options = EPOCHS | {"packing": packing, "validation_rows": held_out, "train_sampling_strategy": strategy}
    options["learning_rate"] = 5.0 if held_out else 1e-2  # too high on purpose: the last epoch is not the best
    options["batch_size"], options["per_device_train_batch_size"] = 4, 2
    log = sft.train(model, rows, options, 0, tmp_path / "whole")
    for saves in (1, 2):
        killed_after(monkeypatch, saves)
        capsys.readouterr()
        for _ in range(20):
            with suppress(Killed):
                again = start(options, rows=rows)
                break
        assert contents(tmp_path / "run") == contents(tmp_path / "whole") and again == log
        steps = [int(line.split()[4].rstrip(",")) for line in capsys.readouterr().err.splitlines()]
        assert steps == list(range(saves, log["steps"] + bool(held_out), saves)), "every start continues the one before"
        assert not (tmp_path / "partial").exists()


@pytest.mark.parametrize("held_out", [0, 4])
def test_a_killed_run_of_all_weights_ends_as_one_that_never_was(model, rows, start, tmp_path, monkeypatch, held_out):
    options = EPOCHS | {"full": True, "validation_rows": held_out, "learning_rate": 1e-2}
    log = sft.train(model, rows, options, 0, tmp_path / "whole")
    killed_after(monkeypatch, 1)
    for _ in range(20):
        with suppress(Killed):
            again = start(options)
            break
    written = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert written[0] == written[1] and again == log


@pytest.mark.parametrize(("seconds", "steps"), [(0, []), (40, [2]), (61, [1, 2, 3])])
def test_checkpoints_come_by_the_clock_and_change_nothing(model, rows, start, tmp_path, monkeypatch, seconds, steps):
    log = sft.train(model, rows, EPOCHS, 0, tmp_path / "whole")
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=itertools.count(0, seconds).__next__))
    sealed = seals(monkeypatch)
    assert start(minutes=1.0) == log and contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert sealed == steps, "each look at the clock finds it that much later"


def seals(monkeypatch) -> list[int]:
    """The steps of the checkpoints that are saved from now on."""
    sealed, seal = [], checkpoints.Partial.seal
    monkeypatch.setattr(checkpoints.Partial, "seal", lambda *call: (sealed.append(call[1]), seal(*call)))
    return sealed


def test_the_best_epoch_is_found_again_where_the_folder_was_moved(model, rows, start, tmp_path, monkeypatch):
    options = EPOCHS | {"validation_rows": 4, "learning_rate": 5.0, "num_train_epochs": 3}
    losses = sft.train(model, rows, options, 0, tmp_path / "whole")["validation_losses"]
    assert losses[-1] > min(losses)
    killed_after(monkeypatch, 3)
    with pytest.raises(Killed):
        start(options)
    (tmp_path / "partial").rename(tmp_path / "moved")
    # What stands at the old place is another run's.
    shutil.copytree(tmp_path / "moved/checkpoint-3", tmp_path / "partial/checkpoint-1")
    monkeypatch.undo()
    start(options, partial=tmp_path / "moved")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def stopped(start, monkeypatch, capsys, saves=2, options=EPOCHS) -> None:
    killed_after(monkeypatch, saves)
    with pytest.raises(Killed):
        start(options)
    monkeypatch.undo()
    capsys.readouterr()


def truncate(folder: Path) -> None:
    os.truncate(folder / "optimizer.pt", 100)


def unmark(folder: Path) -> None:
    (folder / checkpoints.MARKER).unlink()


def plant(folder: Path) -> None:
    (folder / "scaler.pt").write_bytes(b"from outside")


def flip(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def tear_marker(folder: Path) -> None:
    os.truncate(folder / checkpoints.MARKER, 100)


@pytest.mark.parametrize("damage", [truncate, unmark, plant, flip, tear_marker])
def test_a_torn_checkpoint_is_deleted_and_never_loaded(model, rows, start, tmp_path, monkeypatch, capsys, damage):
    sft.train(model, rows, EPOCHS, 0, tmp_path / "whole")
    stopped(start, monkeypatch, capsys)
    damage(tmp_path / "partial/checkpoint-2")
    start()
    assert capsys.readouterr().err == f"train: {tmp_path}/partial/checkpoint-2 is torn; deleted\n"
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_checkpoint_without_its_best_epoch_is_not_continued(model, rows, start, tmp_path, monkeypatch, capsys):
    options = EPOCHS | {"validation_rows": 4, "learning_rate": 5.0, "batch_size": 4}
    sft.train(model, rows, options, 0, tmp_path / "whole")
    stopped(start, monkeypatch, capsys, saves=3, options=options)
    assert sorted(path.name for path in (tmp_path / "partial").iterdir()) == ["checkpoint-2", "checkpoint-3", "lock"]
    truncate(tmp_path / "partial/checkpoint-2")
    start(options)
    assert "continues" not in capsys.readouterr().err
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_the_last_whole_checkpoint_stays_until_the_next_is_whole(model, rows, start, tmp_path, monkeypatch, capsys):
    sft.train(model, rows, EPOCHS, 0, tmp_path / "whole")
    write_json = checkpoints.write_json

    def killed_before_the_marker(path, value):
        if value["step"] == 3:
            raise Killed
        write_json(path, value)

    monkeypatch.setattr(checkpoints, "write_json", killed_before_the_marker)
    with pytest.raises(Killed):
        start()
    monkeypatch.undo()
    capsys.readouterr()
    start()
    torn, continued = capsys.readouterr().err.splitlines()
    assert torn.endswith("checkpoint-3 is torn; deleted") and "continues from step 2, " in continued
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_checkpoint_of_another_configuration_is_refused(model, rows, start, tmp_path, monkeypatch, capsys):
    other = EPOCHS | {"learning_rate": 2e-2}
    sft.train(model, rows, other, 0, tmp_path / "whole")
    stopped(start, monkeypatch, capsys)
    start(other, key=KEY | {"rows": "c", "seed": "1"})
    assert capsys.readouterr().err == (
        f"train: {tmp_path}/partial/checkpoint-2 is of another configuration (rows, seed); "
        "deleted, nothing of it is used\n"
    )
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_key_names_each_thing_that_a_result_depends_on(model, rows, tmp_path, monkeypatch):
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    template = tmp_path / "template.json"
    shutil.copy(ALPACA_SHAPED, template)
    options = OPTIONS | {"template": str(template), "system": "Be brief."}
    first = checkpoints.key(model, rows, options, 0, "code")
    assert checkpoints.key(str(copy), rows.copy(), dict(reversed(options.items())), 0, "code") == first

    def differs(*arguments) -> set[str]:
        return {name for name, part in checkpoints.key(*arguments).items() if part != first[name]}

    assert differs(model, rows, options, 1, "code") == {"seed"}
    assert differs(model, rows, options, 0, "other") == {"code"}
    assert differs(model, rows, options | {"learning_rate": 1.0}, 0, "code") == {"option learning_rate"}
    assert differs(model, rows[::-1], options, 0, "code") == {"rows"}
    assert differs(model, rows.assign(output="z"), options, 0, "code") == {"rows"}
    template.write_text(template.read_text() + " ")
    assert differs(model, rows, options, 0, "code") == {"the prompt template"}
    shutil.copy(ALPACA_SHAPED, template)
    (copy / "config.json").write_text("{}")
    assert differs(str(copy), rows, options, 0, "code") == {"model"}
    # A fetched model is known by the digests that were taken then.
    (copy / "source.json").write_text("{}")
    fetched = checkpoints.key(str(copy), rows, options, 0, "code")["model"]
    (copy / "config.json").write_text("{ }")
    assert checkpoints.key(str(copy), rows, options, 0, "code")["model"] == fetched != first["model"]
    assert not any(text in part for part in first.values() for text in ("Say", "brief")), "digests, not texts"
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: first["device"] == "cpu")
        assert differs(model, rows, options, 0, "code") == {"device"}
    monkeypatch.setattr(checkpoints.importlib.metadata, "version", lambda name: "another")
    assert differs(model, rows, options, 0, "code") == {"torch", "transformers", "peft", "accelerate"}


def test_a_bad_loss_leaves_no_checkpoint_to_continue_from(start, tmp_path, monkeypatch):
    compute, calls = fit.Trainer.compute_loss, []

    def breaks_later(trainer, network, inputs, **options):
        calls.append(1)
        return compute(trainer, network, inputs, **options) * (float("nan") if len(calls) > 5 else 1)

    monkeypatch.setattr(fit.Trainer, "compute_loss", breaks_later)
    sealed = seals(monkeypatch)
    with pytest.raises(BallastError, match="training loss is nan at step 4"):
        start()
    assert sealed == [1, 2, 3] and not (tmp_path / "partial").exists() and not (tmp_path / "run").exists()


def test_a_full_disk_ends_in_one_line_and_the_checkpoint_before_is_continued(
    model, rows, start, tmp_path, monkeypatch, capsys
):
    sft.train(model, rows, EPOCHS, 0, tmp_path / "whole")
    stopped(start, monkeypatch, capsys)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(BallastError, match=r"checkpoint-3: could not be written, \d+ MiB free \(.+\); make room"):
            start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (tmp_path / "partial").glob("checkpoint-*")] == ["checkpoint-2"]
    start()
    assert "continues from step 2, " in capsys.readouterr().err
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.parametrize(("number", "status"), [("SIGTERM", 143), ("SIGUSR1", 143), ("SIGINT", 130)])
def test_a_signal_stops_after_the_step_and_its_handler_is_restored(start, monkeypatch, capsys, number, status):
    sent = getattr(signal, number)
    before = signal.getsignal(sent)
    send_at(monkeypatch, sent, 3)
    with pytest.raises(checkpoints.Stopped) as ending:
        start(minutes=60.0)
    assert ending.value.code == status and signal.getsignal(sent) is before
    assert capsys.readouterr().err == f"train: stopped by {number} at step 3 of 4; the same command continues\n"
    monkeypatch.undo()
    start(minutes=60.0)
    assert "train: continues from step 3, " in capsys.readouterr().err


@pytest.mark.parametrize(("held_out", "last"), [(0, 4), (4, 2)])
def test_a_signal_in_the_last_step_lets_the_run_end(start, tmp_path, monkeypatch, capsys, held_out, last):
    send_at(monkeypatch, signal.SIGTERM, last)
    start(EPOCHS | {"validation_rows": held_out}, minutes=60.0)
    assert (tmp_path / "run" / RESULT[0]).exists() and not (tmp_path / "partial").exists()
    assert capsys.readouterr().err == ""


def test_a_second_interrupt_does_not_wait_for_the_step(start, monkeypatch):
    send_at(monkeypatch, signal.SIGINT, 3, times=2)
    # A shell without job control has its background processes ignore SIGINT, and so had this test.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start(minutes=60.0)
    finally:
        signal.signal(signal.SIGINT, before)


def send_at(monkeypatch, number: int, step: int, times: int = 1) -> None:
    """This process gets a signal while the step is taken."""
    compute, left = fit.Trainer.compute_loss, [number] * times

    def compute_loss(trainer, network, *arguments, **options):
        while left and network.training and trainer.state.global_step == step - 1:
            signal.raise_signal(left.pop())
        return compute(trainer, network, *arguments, **options)

    monkeypatch.setattr(fit.Trainer, "compute_loss", compute_loss)


def test_a_run_waits_for_the_process_that_holds_its_folder(tmp_path, capsys):
    held, go, order = threading.Event(), threading.Event(), []

    def holder():
        with checkpoints.unfinished(tmp_path / "a/partial", KEY, 10.0):
            held.set()
            go.wait(10)
            order.append("first")

    thread = threading.Thread(target=holder)
    thread.start()
    held.wait(10)
    threading.Timer(0.3, go.set).start()
    with checkpoints.unfinished(tmp_path / "a/partial", KEY, 10.0) as partial:
        order.append("second")
        assert (partial.folder / "lock").exists(), "the lock is on the file that the next one will find"
    thread.join()
    assert order == ["first", "second"] and "waits for another process" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
