"""The small order database of the demo's two shops, and the tools that read and change it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool

REFUND_DAYS = 30

_SCHEMA = """
DROP TABLE IF EXISTS refunds;
DROP TABLE IF EXISTS orders;
DROP TABLE IF EXISTS products;
CREATE TABLE products (tenant TEXT, name TEXT, cents INTEGER, details TEXT, PRIMARY KEY (tenant, name));
CREATE TABLE orders (number INTEGER PRIMARY KEY, tenant TEXT, product TEXT, cents INTEGER, status TEXT,
                     due TEXT, seen TEXT, days_since_delivery INTEGER);
CREATE TABLE refunds (number INTEGER PRIMARY KEY REFERENCES orders, cents INTEGER NOT NULL);
"""

_PRODUCTS = (
    ("fernshop", "watering can", 3200, "holds 8 litres"),
    ("fernshop", "garden hose", 2790, "15 metres long, fits half inch taps"),
    ("fernshop", "garden gloves", 990, "small, medium and large"),
    ("fernshop", "clay pot", 2450, "20 cm wide"),
    ("boltwerk", "desk lamp", 4500, "60 cm tall, warm white"),
    ("boltwerk", "cordless drill", 8900, "18 volt, two batteries"),
    ("boltwerk", "bike light", 1990, "one charge lasts 40 hours"),
)
_ORDERS = (
    (1001, "fernshop", "watering can", 3200, "shipped", "12 May", "York", None),
    (1002, "fernshop", "clay pot", 2450, "delivered", "3 May", None, 4),
    (1003, "fernshop", "garden hose", 2790, "shipped", "9 May", "Leeds", None),
    (1004, "fernshop", "garden gloves", 990, "delivered", "2 May", None, 5),
    (1005, "fernshop", "garden hose", 2790, "shipped", "10 May", "Hull", None),
    (2001, "boltwerk", "cordless drill", 8900, "packed", "16 May", None, None),
    (2002, "boltwerk", "desk lamp", 4500, "delivered", "20 March", None, 48),
)


def create_shop(database: Path) -> None:
    """Write the order database as it is before the first ticket, over whatever an earlier demo left there.

    Args:
        database: Where the SQLite file goes; its folder must exist.
    """
    with _open(database) as rows:
        rows.executescript(_SCHEMA)
        rows.executemany("INSERT INTO products VALUES (?, ?, ?, ?)", _PRODUCTS)
        rows.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _ORDERS)


def refunded_orders(database: Path) -> frozenset[int]:
    """Give the numbers of the orders that were refunded."""
    with _open(database) as rows:
        return frozenset(row["number"] for row in rows.execute("SELECT number FROM refunds"))


@dataclass(frozen=True, slots=True)
class ShopTools:
    """The tools of the support desk, as LangChain knows them.

    Each answers with one line of facts, or with an empty one where there is nothing to say, and sees only the shop of
    the run's `configurable["tenant"]`.
    """

    look_up_order: BaseTool
    track_parcel: BaseTool
    refund_order: BaseTool
    search_products: BaseTool

    @classmethod
    def over(cls, database: Path) -> ShopTools:
        """Make the tools for a database that `create_shop` has written.

        Args:
            database: The SQLite file.
        """

        @tool
        def look_up_order(number: int, config: RunnableConfig) -> str:
            """Find an order by its number."""
            order = _order(database, number, config)
            return f"order {number}, {order['product']}, {order['status']}, expected on {order['due']}" if order else ""

        @tool
        def track_parcel(number: int, config: RunnableConfig) -> str:
            """Ask the carrier where the parcel of an order was last seen."""
            order = _order(database, number, config)
            return f"last seen in {order['seen']}" if order and order["seen"] else ""

        @tool
        def refund_order(number: int, config: RunnableConfig) -> str:
            """Refund an order, if the rules allow it."""
            order = _order(database, number, config)
            return _refund(database, order) if order else ""

        @tool
        def search_products(words: str, config: RunnableConfig) -> str:
            """Find the product that has most of the words in its name."""
            with _open(database) as rows:
                products = rows.execute("SELECT * FROM products WHERE tenant = ?", (_tenant(config),)).fetchall()
            best = max(products, key=lambda product: _shared_words(product["name"], words), default=None)
            if best is None or not _shared_words(best["name"], words):
                return ""
            return f"{best['name']}, {best['details']}, {_dollars(best['cents'])}, in stock"

        return cls(look_up_order, track_parcel, refund_order, search_products)


def _refund(database: Path, order: sqlite3.Row) -> str:
    number, days = order["number"], order["days_since_delivery"]
    if days is None:
        return f"order {number} is not refunded, it is still on its way"
    if days > REFUND_DAYS:
        return f"order {number} is not refunded, it was delivered more than {REFUND_DAYS} days ago"
    with _open(database) as rows:
        rows.execute("INSERT OR IGNORE INTO refunds VALUES (?, ?)", (number, order["cents"]))
    return f"order {number}, {order['product']}, refunded {_dollars(order['cents'])}"


def _order(database: Path, number: int, config: RunnableConfig) -> sqlite3.Row | None:
    with _open(database) as rows:
        found: sqlite3.Row | None = rows.execute(
            "SELECT * FROM orders WHERE number = ? AND tenant = ?", (number, _tenant(config))
        ).fetchone()
    return found


def _tenant(config: RunnableConfig) -> Any:
    return config["configurable"]["tenant"]


def _shared_words(name: str, words: str) -> int:
    asked = words.lower()
    return sum(part.removesuffix("s") in asked for part in name.split())


def _dollars(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02} dollars"


@contextmanager
def _open(database: Path) -> Iterator[sqlite3.Connection]:
    """One connection a use: the tools run in LangGraph's worker threads, and none is left open."""
    connection = sqlite3.connect(database, timeout=10)
    connection.row_factory = sqlite3.Row
    try:
        with connection:
            yield connection
    finally:
        connection.close()
