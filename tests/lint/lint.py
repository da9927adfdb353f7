"""The rules of docs/ARCHITECTURE.md that a machine can check. Each check is counted as one test."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys

MAX_FUNCTION_LINES = 100
MAX_FILE_LINES = 700
MAX_PYTHON_COLUMNS = 135
MAX_TEST_LINES = 1000  # a list of cases is read case by case
C_FLOORS = ("common/", "agent/", "app/", "tests/")

# Who may include which library. A new line here is a decision, not a formality: each library stays behind few files.
LIBRARY_USERS = {
    "curl/": ["common/http_client*.[ch]"],
    "jansson.h": ["common/json.[ch]"],
    "mysql": ["app/db_conn.c"],
    "openssl/": ["common/*.c", "agent/keypair*.[ch]", "agent/certificate*.c", "app/tls*.c", "app/csrf.c"],
    "systemd/": ["common/sdnotify.c", "agent/policy*.c"],
    "event2/": ["common/loop.c", "common/http_client*.c", "common/http_io.c", "common/http_server*.c", "common/unixsock.c",
               "app/tls.c"],
    "cmocka.h": ["tests/*"],
}

# Headers through which the Vault token can be reached, and who may: what logs in, mints and renews, and the way to Vault.
# The store and all that stands behind it (outputs, socket, status, policy) is not among them.
TOKEN_HEADERS = ["agent/auth*.h", "agent/token.h", "agent/vault_link.h", "agent/renewer_internal.h"]
TOKEN_USERS = ["agent/auth*.[ch]", "agent/token.[ch]", "agent/vault_link*.[ch]", "agent/lease.[ch]", "agent/life*.[ch]",
               "agent/renewer*.[ch]", "agent/agent*.[ch]", "agent/main.c", "tests/*"]

# Where tests are cited; of some, each name in backquotes is a test's. What looks like one there and is none stands last.
CITING_DOCUMENTS = ["README.md", "docs/*.md"]
PROMISES = ["SECURITY.md", "LEASES.md"]
OPERATIONS = "docs/OPERATIONS.md"
MANUALS = {"docs/leasekeeperd.8": "agent/main.c", "docs/leasekeeper.1": "agent/ctl_main.c", "docs/notesd.8": "app/config.c"}
KEYS_PAGE = "docs/leasekeeperd.hcl.5"
NO_TESTS = {"allow_disk", "lease_duration", "max_ttl", "mint_burst", "rate_limit", "state_dir", "token_num_uses"}

# Written in two halves, so that this file does not break its own rule.
FORBIDDEN_WORDS = [
    (re.compile(r"(?<![\w.$)}-])/(?:wo" r"rk|ro" r"ot|ho" r"me)/"), "a folder of some developer's machine"),
    (re.compile(r"\.\./sha" r"red"), "a folder outside the project"),
    (re.compile(r"pypi\.(?:or" r"g|pythonhosted)|files\.python" r"hosted|deb\.deb" r"ian\.org|registry\.np" r"mjs"
                r"|prox" r"y\.golang|docker\.i" r"o/"), "the host of a package registry"),
]


def tracked_files():
    """Files of the tree: as git knows them, else (an unpacked archive) as they lie there."""
    try:
        out = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout.decode()
        names = [name for name in out.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, folders, files in os.walk("."):
            folders[:] = [f for f in folders if f not in ("build", ".git", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, f)) for f in files]
    return sorted(name for name in names if os.path.isfile(name))


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def read(name):
    with open(name, encoding="utf-8", errors="replace") as f:
        return f.read()


class Tree:
    """The files, by sort, read once."""

    def __init__(self):
        self.all = tracked_files()
        self.c = [f for f in self.all if f.endswith((".c", ".h")) and f.startswith(C_FLOORS)]
        self.python = [f for f in self.all if f.endswith(".py")]
        self.shell = [f for f in self.all if self._is_shell(f)]

    @staticmethod
    def _is_shell(name):
        if name.endswith(".sh"):
            return True
        with open(name, "rb") as f:
            return f.read(9) == b"#!/bin/sh"

    def includes(self):
        """Each #include of the C files: (file, line number, what, is it ours)."""
        for name in self.c:
            for number, line in enumerate(read(name).splitlines(), 1):
                found = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
                if found:
                    yield name, number, found.group(2), found.group(1) == '"'


def check_format(tree):
    """clang-format has nothing to change (headers are laid out by hand, as tables)."""
    sources = [name for name in tree.c if name.endswith(".c")]
    if not sources:
        return
    if not shutil.which("clang-format"):
        yield "clang-format is not installed: make deps"
        return
    command = ["clang-format", "--dry-run", "-Werror", "--style=file", *sources]
    run = subprocess.run(command, capture_output=True, text=True)
    yield from (line for line in run.stderr.splitlines() if "error:" in line)
    if run.returncode and not run.stderr:
        yield f"clang-format ended with {run.returncode}"


def check_floors(tree):
    """common includes only common; agent and app include common and themselves, never each other."""
    allowed = {"common": {"common"}, "agent": {"common", "agent"}, "app": {"common", "app"},
               "tests": {"common", "agent", "app", "tests"}}
    for name, number, what, ours in tree.includes():
        if not ours:
            continue
        floor = name.split("/")[0]
        target = what.split("/")[0] if "/" in what else None
        if target not in allowed[floor]:
            may = ", ".join(sorted(allowed[floor]))
            yield f'{name}:{number}: includes "{what}": {floor} may include {may}, by full name'


def check_libraries(tree):
    """Each library is included in the few files that are named for it."""
    for name, number, what, ours in tree.includes():
        for library, users in LIBRARY_USERS.items():
            if not ours and what.startswith(library) and not matches(name, users) and not name.startswith("tests/"):
                yield f"{name}:{number}: includes <{what}>: kept to {', '.join(users)}"


def check_token(tree):
    """Only what logs in and renews can reach the Vault token."""
    for name, number, what, ours in tree.includes():
        if ours and matches(what, TOKEN_HEADERS) and not matches(name, TOKEN_USERS):
            yield f'{name}:{number}: includes "{what}": the token must not be within its reach'


def check_function_length(tree):
    """No function is longer than MAX_FUNCTION_LINES lines."""
    for name in tree.c:
        start = None
        for number, line in enumerate(read(name).splitlines(), 1):
            if line.startswith("{"):
                start = number
            elif line.startswith("}") and start:
                if number - start + 1 > MAX_FUNCTION_LINES:
                    yield f"{name}:{start}: a function of {number - start + 1} lines"
                start = None


def check_file_length(tree):
    """No source file is longer than MAX_FILE_LINES lines."""
    for name in tree.c + tree.python + tree.shell:
        lines = read(name).count("\n")
        if lines > (MAX_TEST_LINES if name.startswith("tests/") else MAX_FILE_LINES):
            yield f"{name}: {lines} lines: which second noun lives here?"


def check_first_comment(tree):
    """The first thing in a source file is a comment with its duty."""
    for name in tree.c:
        if not read(name).lstrip().startswith(("/*", "//")):
            yield f"{name}:1: no comment that says what it is for"
    for name in tree.python:
        if not read(name).lstrip().startswith(('"""', "#")):
            yield f"{name}:1: no comment that says what it is for"


def check_typedefs(tree):
    """No typedef of structs, and no notes to oneself."""
    for name in tree.c:
        for number, line in enumerate(read(name).splitlines(), 1):
            if re.match(r"\s*typedef\s+(struct|union)\b[^(]*$", line):
                yield f"{name}:{number}: typedef of a struct"
            if re.search(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", line):
                yield f"{name}:{number}: a note to oneself; do it or open an issue"


def check_words(tree):
    """The tree names no developer's machine, no registry, nothing outside itself."""
    for name in tree.all:
        try:
            with open(name, encoding="utf-8") as f:
                lines = f.read().splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            for pattern, meaning in FORBIDDEN_WORDS:
                if pattern.search(line):
                    yield f"{name}:{number}: names {meaning}"


def check_whitespace(tree):
    """No trailing blanks; tabs only in Makefile and here-documents; a newline at the end."""
    for name in tree.c + tree.python + tree.shell:
        text = read(name)
        if text and not text.endswith("\n"):
            yield f"{name}: no newline at the end"
        for number, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip():
                yield f"{name}:{number}: blanks at the end of the line"


def check_shell(tree):
    """shellcheck has nothing to say."""
    if not tree.shell:
        return
    if not shutil.which("shellcheck"):
        yield "shellcheck is not installed: make deps"
        return
    run = subprocess.run(["shellcheck", "--format=gcc", *tree.shell], capture_output=True, text=True)
    yield from run.stdout.splitlines()


def check_python(tree):
    """The Python files compile, within MAX_PYTHON_COLUMNS."""
    for name in tree.python:
        text = read(name)
        try:
            compile(text, name, "exec")
        except SyntaxError as e:
            yield f"{name}:{e.lineno}: {e.msg}"
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > MAX_PYTHON_COLUMNS:
                yield f"{name}:{number}: {len(line)} columns"


def test_names(tree):
    """Return: what a document may cite: files of tests, and tests by their names, those of pytest without "test_"."""
    names = set()
    for name in tree.c + tree.python:
        if not name.startswith("tests/"):
            continue
        names.add(os.path.splitext(os.path.basename(name))[0])
        pattern = r"^static void (\w+)\(void \*\*\w+\)" if name.endswith(".c") else r"^def test_(\w+)\("
        names.update(re.findall(pattern, read(name), re.M))
    return names


def check_cited_tests(tree):
    """Each test that a document cites exists: as `its_name`, as test_file, or by a part of its name after -k."""
    names = test_names(tree)
    for document in (name for name in tree.all if matches(name, CITING_DOCUMENTS)):
        # Of the documents that are tables of promises, all that looks like a name is one.
        all_of_them = os.path.basename(document) in PROMISES
        for number, line in enumerate(read(document).splitlines(), 1):
            cited = re.findall(r"\btest_\w+\b(?!\*)", line)
            if all_of_them:
                cited += re.findall(r"`([a-z][a-z0-9]*(?:_[a-z0-9]+)+)`", line)
            for part in re.findall(r"-k '?([a-z]\w*)", line):
                if not any(part in name for name in names):
                    yield f"{document}:{number}: cites -k {part}: no test has that in its name"
            for name in cited:
                if name not in names and name.removeprefix("test_") not in names and name not in NO_TESTS:
                    yield f"{document}:{number}: cites {name}: there is no such test"


def check_links(tree):
    """Each file that a document links to is there."""
    for document in (name for name in tree.all if name.endswith(".md")):
        for number, line in enumerate(read(document).splitlines(), 1):
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", line):
                if not os.path.exists(os.path.join(os.path.dirname(document), target)):
                    yield f"{document}:{number}: links to {target}, which is not there"


def options_of(source):
    """Return: the options that a main file or the like reads, by the ways in which ours are written down there."""
    ways = [r'take_option\(&?\w+, "([\w-]{2,})"', r'is_option\(argv\[\w+\], "([\w-]{2,})"', r'strcmp\(argv\[\w+\], "--([\w-]+)"',
            r'\{"([\w-]+)", "NOTESD_\w+"', r'\(struct option\)\{"([\w-]+)"']
    words = re.findall(r'"([\w-]+)"', " ".join(re.findall(r"with_value\[\] = \{(.*?)\}", source)))
    return {name for way in ways for name in re.findall(way, source)} | set(words)


def check_manual_options(tree):
    """Each manual page names the options that its program has, and no other."""
    for page, source in MANUALS.items():
        if page not in tree.all:
            continue
        sections = re.split(r"^\.SH ", read(page).replace("\\-", "-"), flags=re.M)
        text = "".join(s for s in sections if s.startswith(("SYNOPSIS", "OPTIONS", "COMMANDS")))
        known, named = options_of(read(source)), set(re.findall(r"(?<![\w-])--?([a-z][a-z-]+)", text))
        yield from (f"{page}: does not name the option {name} of {source}" for name in sorted(known - named))
        yield from (f"{page}: names an option {name}, which {source} does not have" for name in sorted(named - known))


def check_manual_keys(tree):
    """leasekeeperd.hcl(5) names each key that the configuration has, and none that it has not."""
    if KEYS_PAGE not in tree.all:
        return
    sources = "".join(read(name) for name in tree.c if matches(name, ["agent/config*.c"]))
    page = read(KEYS_PAGE).partition(".SH EXAMPLE")[0].replace("\\-", "-").replace("\\(dq", '"')
    for key in sorted(set(re.findall(r'\{\s*"(\w+)",\s*CONFIG_KEY_(?:BUILT|REPEATS)', sources))):
        if not re.search(rf"(?<![\w-]){key}(?![\w-])", page):
            yield f"{KEYS_PAGE}: does not name the key {key}"
    for key in sorted(set(re.findall(r"(?<![\w/$-])[a-z]+(?:_[a-z]+)+(?![\w-])", page))):
        if f'"{key}"' not in sources:
            yield f"{KEYS_PAGE}: names {key}, which agent/config*.c does not know"


def code_texts(tree):
    """Return: the string literals of the daemons, neighbours joined, cut where printf puts something in."""
    texts = set()
    for name in (name for name in tree.c if not name.startswith("tests/")):
        source = re.sub(r'"\s*(?:PRI\w+\s*)?"', "", read(name))
        for literal in re.findall(r'"((?:[^"\\\n]|\\.)*)"', source):
            texts.update(re.split(r"%[-+ 0#]*[\d*]*(?:\.[\d*]*)?(?:hh|h|ll|l|z)?[a-zA-Z]", re.sub(r"\\(.)", r"\1", literal)))
    return "\0".join(texts)


def is_said(text, known):
    """Can it be put together of what the code knows, in pieces of seven letters and more?"""
    while len(text) > 2:
        length = next((n for n in range(len(text), 6, -1) if text[:n] in known), 0)
        if not length:
            return text in known
        text = text[length:]
    return True


def check_quoted_logs(tree):
    """Each log line that docs/OPERATIONS.md quotes is one that the code can write."""
    known, in_log = code_texts(tree), False
    lines = read(OPERATIONS).splitlines() if os.path.exists(OPERATIONS) else []
    table = next((n for n, line in enumerate(lines) if line.startswith("| line | meaning |")), len(lines))
    for number, line in enumerate(lines, 1):
        in_log = line.startswith("- Log") or (in_log and line.startswith("  "))
        quoted = re.findall(r"`([^`]+)`", line) if in_log and "of Vault" not in line else []
        if number > table + 2:
            quoted = re.findall(r"^\| `([^`]+)`", line)
        for text in (re.sub(r"(\w+)=", r"...\1...", text) for text in quoted):
            for part in re.split(r"\.\.\.|\b[A-Z]{3,}\b|\bN\b|\b\d+\b|approle|^tls", text):
                if not text.startswith("/") and not is_said(part.strip(" :;,()"), known):
                    yield f"{OPERATIONS}:{number}: quotes `{text}`: nothing in the code says '{part.strip()}'"


CHECKS = [check_format, check_floors, check_libraries, check_token, check_function_length, check_file_length,
          check_first_comment, check_typedefs, check_words, check_whitespace, check_shell, check_python,
          check_cited_tests, check_links, check_quoted_logs,
          check_manual_options, check_manual_keys]


def main():
    tree = Tree()
    failed = 0
    for check in CHECKS:
        name = check.__name__.removeprefix("check_").replace("_", "-")
        findings = list(check(tree))
        if findings:
            failed += 1
            print(f"  FAIL  {name}: {check.__doc__}")
            for finding in findings[:40]:
                print(f"        {finding}")
            if len(findings) > 40:
                print(f"        ... and {len(findings) - 40} more")
        else:
            print(f"  ok    {name}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
