"""What the planner says of every model of the catalog at seven sizes of GPU memory: the golden table of the tests and
the tables of docs/models.md. `python tests/fit_tables.py` writes both anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingle_daemon.models import catalog
from ingle_daemon.models.catalog import Entry
from ingle_daemon.models.fit import Device, Machine, Plan, Wish, plan
from ingle_daemon.models.recommend import recommend

GIB = 2**30
SIZES = (0, 4, 6, 8, 12, 16, 24)
RAM = 32
GOLDEN = Path(__file__).parent / "daemon/fit_table.txt"
PAGE = Path(__file__).parents[1] / "docs/models.md"


def machine(vram: int, ram: int = RAM) -> Machine:
    """A machine of so many GiB, all of them free."""
    card = Device(name="GPU", kind="cuda", free_bytes=vram * GIB, total_bytes=vram * GIB)
    return Machine(devices=(card,) * bool(vram), ram_free_bytes=ram * GIB, ram_total_bytes=ram * GIB, cores=8)


def planned(entry: Entry, vram: int, ram: int = RAM) -> Plan:
    assert entry.shape
    return plan(entry.shape, machine(vram, ram), Wish(chat="chat" in entry.roles))


def golden() -> str:
    """One line for each model and size, with everything that was decided and what it takes."""
    return "\n".join(
        f"{entry.name:30} {vram:2} GiB  {_decided(planned(entry, vram))}"
        for entry in catalog.shipped().entries
        if entry.shape
        for vram in SIZES
    )


def _decided(found: Plan) -> str:
    needs = found.needs
    return (
        f"layers {found.gpu_layers:2}{' full' if found.full else '     '}{'' if found.fits else ' too large'}"
        f"  context {found.context:5} {found.kv_type:4} batch {found.batch:3}"
        f"  GPU {needs.gpu / 1e6:6.0f} MB, RAM {needs.ram / 1e6:6.0f} MB"
    )


def _rows(head: list[str], rows: Iterator[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def catalog_table() -> str:
    """Every model: its parameters, its use, its licence."""
    head = ["model", "parameters", "Q4_K_M", "use", "fills in as", "licence"]
    return _rows(head, (_described(entry) for entry in catalog.shipped().entries))


def _described(entry: Entry) -> list[str]:
    licence = entry.license if entry.open else f"{entry.license} †"
    size = f"{entry.size_bytes / 1e9:.1f} GB"
    return [entry.name, f"{entry.parameters / 1e9:.2f} B", size, ", ".join(entry.roles), entry.family or "-", licence]


def fit_table() -> str:
    """How every model is loaded at every size."""
    head = ["model", "no GPU", *(f"{size} GiB" for size in SIZES[1:])]
    known = (entry for entry in catalog.shipped().entries if entry.shape)
    return _rows(head, ([entry.name, *(_short(planned(entry, vram), entry) for vram in SIZES)] for entry in known))


def _short(found: Plan, entry: Entry) -> str:
    assert entry.shape
    if not found.fits:
        return "no"
    if not found.gpu_layers:
        return "CPU"
    where = "full" if found.full else f"{found.gpu_layers}/{entry.shape.layers + 1}"
    shorter = [f"{found.context:,}"] if found.context < Wish().context else []
    quantized = ["q8_0"] if found.full and found.kv_type == "q8_0" else []
    return " ".join([where, *shorter, *quantized])


def recommend_table() -> str:
    """What to take at every size."""
    return _rows(["GPU", "take", "because"], (row for vram in SIZES for row in _recommended(vram)))


def _recommended(vram: int) -> Iterator[list[str]]:
    first, *others = recommend(catalog.shipped(), machine(vram))
    yield [f"{vram} GiB" if vram else "none", f"`{first.entry.ref}`", " ".join(first.why[1:])]
    for pick in others:
        mark = "" if pick.entry.open else " †"
        yield ["", f"or `{pick.entry.ref}`{mark}", " ".join(pick.why[1:])]


def documented() -> str:
    """docs/models.md with the tables as they are now."""
    page = PAGE.read_text(encoding="utf-8")
    tables = {"catalog": catalog_table(), "fit": fit_table(), "recommend": recommend_table()}
    for name, table in tables.items():
        begin, end = f"<!-- {name}: python tests/fit_tables.py -->\n", f"\n<!-- end of {name} -->"
        head, found, rest = page.partition(begin)
        assert found, f"docs/models.md has no place for {name}"
        page = f"{head}{begin}{table}{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    GOLDEN.write_text(golden() + "\n", encoding="utf-8")
    PAGE.write_text(documented(), encoding="utf-8")
