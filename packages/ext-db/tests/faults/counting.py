"""A worker process: threads that read a number, add one and write it back."""

from __future__ import annotations

import json
import sys
import threading
import time

from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen import Erlen
from erlen_db import SQLAlchemy

url, seconds, threads = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])

app = Erlen(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = url
db = SQLAlchemy(app)


class Counter(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]


@app.post("/")
def count():
    counter = db.session.get_one(Counter, 1)
    counter.number += 1
    db.session.commit()
    return "counted"


answers = []


def run():
    client = app.test_client()
    while time.monotonic() < end:
        start = time.perf_counter()
        status = client.post("/").status_code
        answers.append((status, time.perf_counter() - start))


if seconds:
    sys.stdin.readline()  # all workers begin together
    end = time.monotonic() + seconds
    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    sys.stdout.write(json.dumps(answers))
else:
    with app.app_context():
        db.create_all()
        db.session.add(Counter(id=1, number=0))
        db.session.commit()
