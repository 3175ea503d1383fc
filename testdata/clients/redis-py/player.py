"""Plays a script through redis-py. The steps come as JSON on stdin, the
outcomes go to stdout, one JSON value a line: {"v": ...} or {"e": "..."}."""

import json
import sys
import threading
import time

import redis

PATIENCE = 20
connections, started, heard = {}, {}, {}


def open_client(step):
    host, port = step["addr"].split(":")
    options = step.get("options") or {}
    return redis.Redis(
        host=host, port=int(port), username=options.get("user"), password=options.get("password"),
        db=int(options.get("db", 0)), decode_responses=True, encoding_errors="backslashreplace",
        single_connection_client=True,
    )


def client(step):
    if step["on"] not in connections:
        connections[step["on"]] = open_client(step)
    return connections[step["on"]]


def connect(step):
    connections[step["on"]] = open_client(step)
    client(step).ping()
    return "connected"


def told(err):
    return {"e": type(err).__name__ + ": " + str(err)}


# As the client's own methods name the commands that it reads replies by.
CONTAINERS = {"ACL", "CLIENT", "COMMAND", "CONFIG", "OBJECT", "XGROUP", "XINFO"}


def named(args):
    if args[0] in CONTAINERS and len(args) > 1:
        return [args[0] + " " + args[1], *args[2:]]
    return args


def do(step):
    return client(step).execute_command(*named(step["args"]))


def start(step):
    box = []

    def run():
        try:
            box.append(do(step))
        except redis.RedisError as err:
            box.append(err)

    thread = threading.Thread(target=run, daemon=True)
    started[step["on"]] = thread, box
    client(step)
    thread.start()
    return "started"


def wait(step):
    thread, box = started.pop(step["on"])
    thread.join(PATIENCE)
    if isinstance(box[0], Exception):
        raise box[0]
    return box[0]


def outcomes(values):
    return [told(v) if isinstance(v, Exception) else {"v": v} for v in values]


def pipeline(step):
    pipe = client(step).pipeline(transaction=False)
    for command in step["commands"]:
        pipe.execute_command(*command)
    return outcomes(pipe.execute(raise_on_error=False))


def multi(step):
    pipe = client(step).pipeline(transaction=True)
    if step.get("watch"):
        pipe.watch(*step["watch"])
    for command in step.get("meanwhile") or []:
        open_client(step).execute_command(*command)
    pipe.multi()
    for command in step["commands"]:
        pipe.execute_command(*command)
    return outcomes(pipe.execute(raise_on_error=False))


def subscribe(step):
    sub = client(step).pubsub()
    heard[step["on"]] = sub
    getattr(sub, step["verb"])(*step["args"])
    return [next_message(sub) for _ in step["args"]]


def next_message(sub):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        got = sub.get_message(timeout=PATIENCE)
        if got:
            return got
    raise redis.TimeoutError("no message came")


def messages(step):
    return [next_message(heard[step["on"]]) for _ in range(int(step["args"][0]))]


def scan(step):
    name, rest = step["args"][0], step["args"][1:]
    key = [] if name == "SCAN" else [rest.pop(0)]
    options = {rest[i].lower(): rest[i + 1] for i in range(0, len(rest), 2)}
    return list(getattr(client(step), name.lower() + "_iter")(*key, **options))


def gone(step):
    until = time.monotonic() + PATIENCE
    while client(step).exists(step["args"][0]):
        if time.monotonic() > until:
            raise redis.TimeoutError("the key stays")
        time.sleep(0.002)
    return "gone"


def plain(value):
    """What JSON has not, in its terms."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(plain(v) for v in value)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return repr(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


VERBS = {
    "do": do, "start": start, "wait": wait, "connect": connect, "pipeline": pipeline, "multi": multi,
    "subscribe": subscribe, "psubscribe": subscribe, "messages": messages, "scan": scan, "gone": gone,
}

for this in json.load(sys.stdin):
    try:
        out = {"v": VERBS[this["verb"]](this)}
    except (redis.RedisError, OSError) as err:
        out = told(err)
    print(json.dumps(plain(out)), flush=True)
