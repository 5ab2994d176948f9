"""The store's data folder with any one file truncated, changed, missing or foreign: the store
starts, names the file, sets it aside, and serves what is whole.

The folder is made once, by real processes; each case damages one file of a copy.
"""

import contextlib
import os
import shutil

import pytest

from qasino.v1 import snapshot_pb2
from testing.e2e import system, tables

HOSTS = 5


class Template:
    """The folder of a store that has ended, and the generations whose snapshots it served: in
    the newest folder may be a shard that was handed in at the end."""

    def __init__(self, data_dir, generations):
        self.data_dir = data_dir
        self.generations = generations


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """With every sort of file."""
    directory = str(tmp_path_factory.mktemp("template"))
    with system.kept(system.start_processes(directory)) as started:
        client = started.client
        rows = {"n": (tables.INTEGER, [1, 2, 3])}
        for number in range(HOSTS):
            client.publish(f"host{number}", tables.table("kept", rows), persist=True)
        client.publish("admin", tables.table("limits", rows), static=True)
        with client.keeps_publishing([(0, "host", tables.table("plain", rows))]):
            answer = client.query_until("SELECT 1 FROM plain, kept, limits")
            client.wait_for_generation(answer.generation + 2)
        generations = sorted(held(client))
    return Template(os.path.join(directory, "data"), generations)


def find(template, what):
    """The path of one file, below the folder."""
    if what in ("store-id", "tables.journal"):
        return what
    folder = f"generations/{template.generations[-1]}"
    if what == "older manifest":
        return f"generations/{template.generations[-2]}/manifest"
    if what == "manifest":
        return f"{folder}/manifest"
    prefix = {"persistent shard": "persistent-", "static shard": "static-"}.get(what)
    names = sorted(os.listdir(f"{template.data_dir}/{folder}"))
    if prefix:
        (name,) = [each for each in names if each.startswith(prefix)]
    else:
        name = [each for each in names if each[0].isdigit()][0]
    return f"{folder}/{name}"


def truncate(path):
    os.truncate(path, os.path.getsize(path) // 2)


def empty(path):
    os.truncate(path, 0)


def flip_a_bit(path):
    with open(path, "r+b") as file:
        middle = os.path.getsize(path) // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 1]))


def put_something_foreign(path):
    with open(path, "wb") as file:
        file.write(b"Not what was here.\n" * 100)


DAMAGES = {"truncated": truncate, "empty": empty, "bit-flipped": flip_a_bit, "missing": os.remove,
           "foreign": put_something_foreign}
FILES = ["manifest", "older manifest", "shard", "persistent shard", "static shard", "store-id",
         "tables.journal"]


@contextlib.contextmanager
def started_on(data_dir, directory):
    """A store, an ingest process and a query process on the folder."""
    with system.kept(system.System(directory)) as started:
        started.store = started.add("store", system.STORE, {
            "--store-port": 0, "--metrics-port": 0, "--data-dir": data_dir})
        started.store.wait_ready()
        address = started.store.address("store")
        started.query = system.start_query(started, address)
        started.ingests = [system.start_ingest(started, "ingest-a", address)]
        for program in started.programs:
            program.wait_ready()
        started.connect()
        yield started


def held(client):
    return [each.generation for each in system.when_available(
        client.store.ListGenerations, snapshot_pb2.ListGenerationsRequest()).generations]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("what", FILES)
def test_a_damaged_file_is_named_and_set_aside_and_what_is_whole_is_served(
        template, tmp_path, what, damage):
    data_dir = str(tmp_path / "data")
    shutil.copytree(template.data_dir, data_dir)
    name = find(template, what)
    before = template.generations
    DAMAGES[damage](f"{data_dir}/{name}")

    with started_on(data_dir, str(tmp_path)) as started:
        client = started.client
        log = started.store.log()
        assert os.path.basename(name) in log, f"the log does not name {name}"
        if damage != "missing":
            assert os.listdir(f"{data_dir}/damaged"), f"{name} was not set aside"

        # A generation without its manifest is lost as a whole; nothing else is.
        lost = {int(name.split("/")[1])} if name.endswith("manifest") else set()
        assert set(before) - lost <= set(held(client))

        answer = client.query_until("SELECT 1", lambda it: it.generation >= max(
            set(before) - lost))
        assert answer.rows == [(1,)]
        # The static and persistent tables are in the journal, and in the newest snapshot's
        # shards; damage to either leaves the other.
        answer = client.query_until("SELECT count(*), count(DISTINCT n) FROM kept",
                                    lambda it: it.generation > max(before))
        assert answer.rows == [(3 * HOSTS, 3)]
        assert client.query("SELECT count(*) FROM limits").rows == [(3,)]

        # And it goes on: what is put now stays, over a restart.
        client.publish("later", tables.table("later", {"n": (tables.INTEGER, [9])}), persist=True)
        assert client.query_until("SELECT n FROM later").rows == [(9,)]
    with started_on(data_dir, str(tmp_path)) as started:
        assert started.client.query_until("SELECT n FROM later").rows == [(9,)]


@pytest.mark.parametrize("where", ["", "generations/", "generations/{newest}/", "incoming/"])
def test_foreign_files_do_not_disturb(template, tmp_path, where):
    data_dir = str(tmp_path / "data")
    shutil.copytree(template.data_dir, data_dir)
    where = where.format(newest=template.generations[-1])
    put_something_foreign(f"{data_dir}/{where}holiday.jpg")
    os.mkdir(f"{data_dir}/{where}folder")
    with started_on(data_dir, str(tmp_path)) as started:
        answer = started.client.query_until("SELECT count(*) FROM kept")
        assert answer.rows == [(3 * HOSTS,)]
        if where.startswith("generations/"):
            assert "holiday.jpg" in started.store.log()


def test_a_store_in_the_place_of_another_does_not_take_its_tables(template, tmp_path):
    """A journal of another store is foreign: its tables do not come to life."""
    data_dir = str(tmp_path / "data")
    os.mkdir(data_dir)
    with started_on(data_dir, str(tmp_path)) as started:
        started.client.publish("own", tables.table("own", {"n": (tables.INTEGER, [1])}),
                               static=True)
    shutil.copy(f"{template.data_dir}/tables.journal", f"{data_dir}/tables.journal")
    with started_on(data_dir, str(tmp_path)) as started:
        assert "tables.journal" in started.store.log()
        newest = started.client.generation()
        started.client.wait_for_generation(newest + 1)
        assert started.client.try_query("SELECT * FROM limits") is None
