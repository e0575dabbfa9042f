"""What the planner says of every model of the catalog at seven sizes of GPU memory: the golden table of the tests and
the tables of docs/models.md. `python tests/fit_tables.py` writes both anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingle_daemon.models import catalog
from ingle_daemon.models.catalog import Entry
from ingle_daemon.models.fit import Device, Machine, Plan, Wish, plan

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


def tables() -> str:
    """The table for people, in Markdown."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "| model (Q4_K_M) | size | no GPU | " + " | ".join(f"{size} GiB" for size in SIZES[1:]) + " |"
    yield "|---" * (len(SIZES) + 2) + "|"
    for entry in catalog.shipped().entries:
        if entry.shape:
            cells = " | ".join(_short(planned(entry, vram), entry) for vram in SIZES)
            yield f"| {entry.name} | {entry.size_bytes / 1e9:.1f} GB | {cells} |"


def _short(found: Plan, entry: Entry) -> str:
    assert entry.shape
    if not found.fits:
        return "no"
    where = (
        "full"
        if found.full
        else f"{100 * found.gpu_layers // (entry.shape.layers + 1)} %"
        if found.gpu_layers
        else "CPU"
    )
    notes = [f"{found.context:,}"] * (found.context < Wish().context) + ["q8_0"] * (
        found.full and found.kv_type == "q8_0"
    )
    return f"{where} ({', '.join(notes)})" if notes else where


def documented() -> str:
    """docs/models.md with the tables as they are now."""
    page = PAGE.read_text(encoding="utf-8")
    for name, table in (("fit", tables()),):
        begin, end = f"<!-- {name}: python tests/fit_tables.py -->\n", f"\n<!-- end of {name} -->"
        head, _, rest = page.partition(begin)
        page = f"{head}{begin}{table}{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    GOLDEN.write_text(golden() + "\n", encoding="utf-8")
    PAGE.write_text(documented(), encoding="utf-8")
