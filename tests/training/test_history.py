"""An old history is taken in whole or not at all, and nothing in it is ever executed."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.training.models import TrainingData

pytestmark = pytest.mark.django_db

HEADER = "task_id,size,compute_intensity,memory_required,optimal_gpu_fraction,optimal_time\n"


def take_in(folder: Path, content: str | bytes) -> None:
    path = folder / "history.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    call_command("importhistory", str(path), verbosity=0)


def test_rows_become_training_data_with_their_features(tmp_path: Path) -> None:
    take_in(tmp_path, HEADER + "1,4,0.5,8,0.25,3.5\n2,0,0.5,0,1,0\n")
    first, second = TrainingData.objects.order_by("id")
    assert (first.size, first.memory_mb, first.memory_per_size, first.compute_to_memory) == (4, 8, 2, 0.0625)
    assert (first.optimal_gpu_fraction, first.optimal_time, first.run, first.task) == (0.25, 3.5, None, None)
    assert (second.memory_per_size, second.compute_to_memory) == (0, 0)


def test_the_order_of_columns_and_extra_ones_do_not_matter(tmp_path: Path) -> None:
    take_in(
        tmp_path,
        "\ufeffnote,optimal_time,optimal_gpu_fraction,memory_required,compute_intensity,size\nx,3.5,0.25,8,0.5,4\n\n",
    )
    assert TrainingData.objects.get().size == 4


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        (HEADER, "holds no rows"),
        ("size,optimal_time\n1,2\n", "lacks the columns compute_intensity, memory_required"),
        (HEADER + "1,4,0.5,8,0.25,3.5\n2,4,__import__('os').getcwd(),8,0.25,3.5\n", "line 3: compute_intensity is"),
        (HEADER + "1,4,1.5,8,0.25,3.5\n", "compute_intensity is 1.5, not from 0 to 1"),
        (HEADER + "1,nan,0.5,8,0.25,3.5\n", "size is nan"),
        (HEADER + "1,inf,0.5,8,0.25,3.5\n", "size is inf"),
        (HEADER + "1,-4,0.5,8,0.25,3.5\n", "size is -4"),
        (HEADER + "1,4,0.5\n", "memory_required is missing"),
        (b"\x00\xff\xfe", "not UTF-8 text"),
    ],
)
def test_a_fault_is_one_sentence_and_leaves_no_row(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        take_in(tmp_path, content)
    assert not TrainingData.objects.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"none\.csv cannot be read: No such file"):
        call_command("importhistory", str(tmp_path / "none.csv"))
