"""Made-up contacts, the same in every run, and databases of them that are kept while nothing they depend on changes."""

import random
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path

from peewee import SqliteDatabase

from contacts.database import PRAGMAS, SCHEMA
from contacts.model import ADD, row_of
from contacts.upgrades import prepare

# On the disk on which the project lies: where a write waits for the disk, it shall do so here.
DATA = Path(__file__).parent / "data"

# What decides what a database holds.
SOURCES = (
    Path(__file__),
    SCHEMA,
    *(SCHEMA.parent / "contacts" / name for name in ("model.py", "phone.py", "search.py", "text.py")),
)

# The most common ones; those that follow are made of syllables. Wolfgang comes late in the order of the name.
FIRST = ("Wolfgang", "Anna", "Maria", "Peter", "Zoë", "Jürgen", "Hélène", "Thomas", "Ursula", "Ying", "Иван", "Ben")
LAST = ("Müller", "Schmidt", "Nguyen", "Smith", "Garcia", "Weber", "Doe-Smith", "O'Brien", "Жуков", "Kaufmann")
STARTS = "Ab Ad Al An Ar Ba Be Bo Ca Chri Da De Do Ed El Er Fa Fri Ga Ge Ha He Hu In Is Ja Jo Ka Ke Ki La Le Li Lu Ma"
STARTS += " Me Mi Na Ne Ni No Ol Or Pa Pe Ra Re Ri Ro Sa Schm Se Si So Sta Ta Te To Ul Va Ve Vi Wa We Wi Xa Ya Yo Za Ze"
MIDDLES = (
    "ba be bri chel da del do fe ga ger go ha kel la len li lo ma me mi na nel ni no ra re ri ro sa se si ta te to"
)
FIRST_ENDS = "a an as e el en ia ie ika in ina is na o on ra rd s ta us"
LAST_ENDS = "bach bauer berg berger burg er feld haus hoff hofer ke ler mann meier mer ner owski sen ski son stein wald"
DEPARTMENTS = ("Sales", "Support", "Billing", "Returns", "Press", "Legal", "Zentrale", "Hotline", "Логистика", "Export")
TOWNS = ("Berlin", "München", "Lyon", "Oslo", "Porto", "Gdańsk", "Izmir", "Leeds", "Wien", "Zürich")


def names(chance: random.Random, common: tuple[str, ...], ends: str, count: int) -> list[str]:
    """Return as many different names, the common ones first."""
    made = dict.fromkeys(common)
    while len(made) < count:
        middle = "".join(chance.choices(MIDDLES.split(), k=chance.choice((0, 1, 1, 2))))
        made[chance.choice(STARTS.split()) + middle + chance.choice(ends.split())] = None
    return list(made)


def zipf(count: int) -> list[float]:
    """Return the weights of as many names, added up: the second is half as common as the first (Zipf's law)."""
    return list(accumulate(1 / rank for rank in range(1, count + 1)))


def contacts(count: int) -> Iterator[dict[str, str]]:
    """Yield contacts in the API's terms: of a hundred, 90 are Users, 3 Queues and 7 Custom."""
    chance = random.Random(1)
    firsts, lasts = names(chance, FIRST, FIRST_ENDS, 2000), names(chance, LAST, LAST_ENDS, 5000)
    first_weights, last_weights = zipf(2000), zipf(5000)
    for number in range(count):
        phone = f"+49 {chance.choice((30, 40, 69, 89, 221))} {chance.randrange(10**7):07}"
        if number % 100 < 90:
            first = chance.choices(firsts, cum_weights=first_weights)[0]
            last = chance.choices(lasts, cum_weights=last_weights)[0]
            user = {"userName": f"{first}.{last}{number}".lower(), "firstName": first, "lastName": last}
            yield {"type": "User", "name": f"{first} {last}", **user, "employeeId": f"E{number:07}"} | (
                {} if number % 20 == 7 else {"phoneNumber": phone}
            )
        elif number % 100 < 93:
            name = f"{chance.choice(DEPARTMENTS)} {chance.choice(TOWNS)} {number}"
            yield {"type": "Queue", "name": name, "phoneNumber": str(10_000 + number)}
        else:
            first = chance.choices(firsts, cum_weights=first_weights)[0]
            yield {"type": "Custom", "name": f"{first} {chance.choice(TOWNS)}", "phoneNumber": phone}


def database(count: int) -> Path:
    """Return the file of a database of as many contacts; make it when there is none that still holds."""
    state = blake2b(b"".join(source.read_bytes() for source in SOURCES), digest_size=6).hexdigest()
    DATA.mkdir(exist_ok=True)
    path = DATA / f"{count}-{state}.db"
    if not path.exists():
        for old in DATA.glob(f"{count}-*"):
            old.unlink()
        unfinished = path.with_suffix(".new")
        fill(unfinished, count)
        unfinished.rename(path)
    return path


def fill(path: Path, count: int) -> None:
    """Make a database of as many contacts."""
    fill_with(path, contacts(count))


def fill_with(path: Path, made: Iterable[dict[str, str]]) -> None:
    """Make a database of contacts, quickly: it is thrown away when that fails. Their ids are the same in every run."""
    prepare(str(path))
    quick = {"journal_mode": "off", "synchronous": "off", "cache_size": -1_000_000}
    database = SqliteDatabase(str(path), pragmas=PRAGMAS | quick)
    chance = random.Random(2)
    rows = (row_of({"id": chance.randbytes(16).hex(), **contact}) for contact in made)
    with database.connection_context():
        with database.atomic():
            ADD.execute_many(database, rows)
        database.pragma("journal_mode", "wal")
