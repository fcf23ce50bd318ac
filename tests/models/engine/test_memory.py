"""Free memory is what the system, its control groups and the other processes leave."""

from types import SimpleNamespace

import psutil
import pytest
import torch

from latent_tts.models.engine import memory
from latent_tts.models.engine.memory import free_memory

CPU = torch.device("cpu")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = ("memory.max", "memory.current", "inactive_file")
UNLIMITED = 9223372036854771712


@pytest.fixture(autouse=True)
def system(tmp_path, monkeypatch):
    """A system with 1,000 bytes free and no control groups; returns its root."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    monkeypatch.setattr(memory, "_ROOT", tmp_path)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path


def made_group(folder, names, limit, used, reclaimed):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"cache 7\n{names[2]} {reclaimed}\nother 1\n")


def in_groups(root, *lines):
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


def test_without_groups_the_system_counts(system):
    assert free_memory(CPU) == 1000
    in_groups(system, "0::/", "4:memory:/", "3:cpu,cpuacct:/a")
    assert free_memory(CPU) == 1000


@pytest.mark.parametrize(
    ("line", "folder", "names", "unlimited"),
    [
        ("0::/a/b", "sys/fs/cgroup", V2, "max"),
        ("4:memory:/a/b", "sys/fs/cgroup/memory", V1, UNLIMITED),
    ],
)
def test_the_narrowest_group_counts(system, line, folder, names, unlimited):
    in_groups(system, "9:name=systemd:/a/b", line)
    top = system / folder
    made_group(top / "a/b", names, 700, 300, 50)
    assert free_memory(CPU) == 450
    made_group(top / "a", names, 500, 200, 0)
    assert free_memory(CPU) == 300
    made_group(top / "a", names, unlimited, 200, 0)
    assert free_memory(CPU) == 450
    made_group(top / "a/b", names, 700, 800, 50)
    assert free_memory(CPU) == 0


def test_a_container_that_knows_its_group_by_an_outer_name(system):
    in_groups(system, "4:memory:/docker/0123")
    made_group(system / "sys/fs/cgroup/memory", V1, 600, 100, 0)
    assert free_memory(CPU) == 500


def test_processes_of_a_launcher_share(system, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_memory(CPU) == 250


@pytest.mark.parametrize("given", ["", "0", "-1", "two", "1.0"])
def test_a_number_of_processes_that_is_none_counts_as_one(monkeypatch, given):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", given)
    assert free_memory(CPU) == 1000


def test_lines_that_are_no_groups_are_passed_over(system):
    in_groups(system, "", "7", "0:", "3:cpu,memory:/a")
    made_group(system / "sys/fs/cgroup/memory/a", V1, 600, 100, 0)
    assert free_memory(CPU) == 500


def test_a_gpu_says_itself_what_is_free(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (70, 100))
    assert free_memory(torch.device("cuda")) == 70
