import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from upkeep.adapters.jinja import JinjaRenderer
from upkeep.domain import documents
from upkeep.domain.bundles import TemplateFile
from upkeep.domain.errors import BundleError, CallerError
from upkeep.domain.findings import Severity
from upkeep.domain.namespaces import (
    EnvironmentFacts,
    InstanceFacts,
    ServiceFacts,
    environment_namespace,
    instance_namespace,
    pipeline_namespace,
)
from upkeep.domain.parts import Part
from upkeep.domain.resources import Repository

PATH = "instance_infrastructure/cloudformation.yaml"
TEST = EnvironmentFacts("test", "111111111111", outputs={"VpcId": "vpc-1"})
SERVICE = ServiceFacts("checkout", Repository("main", "shop/checkout", "arn:connection"))
INPUTS = {"port": 80, "ratio": 0.5, "public": True, "names": ["a", "b"], "variables": {"ONE": "1", "TWO": "b"}}
INSTANCE = instance_namespace(SERVICE, InstanceFacts("prod", TEST, INPUTS))
PIPELINE = pipeline_namespace(SERVICE, {"command": "make"}, [InstanceFacts("prod", TEST, INPUTS, {"Url": "u"})])

ECS = "proton_cfn_ecs_task_definition_formatted_env_vars"
LAMBDA = "proton_cfn_lambda_function_formatted_env_vars"
ARNS = "proton_cfn_iam_policy_arns"
SANITIZE = "proton_cfn_sanitize"


@pytest.fixture(scope="module")
def renderer():
    with JinjaRenderer(time_for=timedelta(seconds=3)) as renderer:
        yield renderer


@pytest.fixture(scope="module")
def hasty():
    """Limits that a test need not wait for."""
    limits = {"time_for": timedelta(milliseconds=300), "memory_bytes": 128 * 1024 * 1024, "output_bytes": 100_000}
    with JinjaRenderer(workers=1, **limits) as renderer:
        yield renderer


def render(renderer, text, namespace=INSTANCE):
    return renderer.render(TemplateFile(PATH, text), namespace)


def fault(renderer, text, namespace=INSTANCE):
    with pytest.raises(BundleError) as caught:
        render(renderer, text, namespace)
    return str(caught.value)


def found(renderer, text, part=Part.INSTANCE, declared=None):
    return [str(finding) for finding in renderer.check(TemplateFile("t.yaml", text), part, declared)]


# ------------------------------------------------------------------------------------------------- rendering


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A: 1\n",
        "A: 1\n\n\n",
        "  {% if true %}\n  A: {{ service.name }}\n  {% endif %}\n",
        "{%- for name in service_instance.inputs.names %}\n- {{ name }}{{ loop.index }}\n{%- endfor %}\n",
        "{{ service_instance.inputs.port }} {{ service_instance.inputs.ratio }} {{ service_instance.inputs.public }}",
        "{{ service_instance.inputs.port + 1 }} {{ (service.name ~ '--') | truncate(9, true) }}",
        "{{ service_instance.inputs.variables | tojson }} {{ service.name.split('e') }} {{ '<&>' | safe }}",
        "{% set x = [1, 2] %}{{ x | length }}{% raw %}{{resolve:ssm:x}}{% endraw %}{# gone #}",
        "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(service.name) }}{{ 'ümlaut 💙' | upper }}\r\n",
    ],
)
def test_a_text_comes_out_byte_for_byte_as_plain_jinja_writes_it(renderer, text):
    assert render(renderer, text) == Environment().from_string(text).render(INSTANCE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n{{ environment.outputs.Vpc }}", ":2: `environment.outputs.Vpc` is not defined (did you mean"),
        (
            "{{ environment.output.VpcId }}",
            ":1: `environment.output.VpcId` is not defined: there is no `environment.ou",
        ),
        ("{{ enviroment.name }}", ":1: `enviroment.name` is not defined: there is no `enviroment` (did you mean `envi"),
        ("a\n\n{% if service_instance.inputs.a.b == 1 %}{% endif %}", ":3: `service_instance.inputs.a.b` is not def"),
        ("{% if service_instance.inputs.a %}{% endif %}", ":1: `service_instance.inputs.a` is not defined"),
        ("{% for x in service_instance.inputs.a %}{% endfor %}", ":1: `service_instance.inputs.a` is not defined"),
        ("{{ service_instance.inputs.a.chain }}", ":1: `service_instance.inputs.a.chain` is not defined"),
        ("{{ service_instance.inputs.a.explain({}) }}", ":1: `service_instance.inputs.a.explain` is not defined"),
        ("{{ service_instance.inputs['a'] ~ 'b' }}", ":1: `service_instance.inputs.a` is not defined"),
        ("{{ service_instance.inputs.a | length }}", ":1: `service_instance.inputs.a` is not defined"),
        (f"{{{{ service_instance.inputs.a | {ARNS} }}}}", ":1: `service_instance.inputs.a` is not defined"),
        ("{{ environment[service.x] }}", ":1: `service.x` is not defined"),
        ("{{ service_instance.inputs.a | tojson }}", ":1: `service_instance.inputs.a` is not defined"),
        ("\n{{ {'b': [service_instance.inputs.a]} | tojson(2) }}", ":2: `service_instance.inputs.a` is not defined"),
        ("{{ cycler | tojson }}", ":1: TypeError: a value of type type cannot be written"),
        ("{{ nobody[service.x] }}", ":1: `nobody[…]` is not defined: there is no `nobody`"),
        ("{{ service_instance.inputs.names[7] }}", ":1: `service_instance.inputs.names[7]` is not defined"),
        ("{{ service_instance.inputs.port.a }}", ":1: a value of type int has no `a`"),
        ("{{ service_instance.components.default.name }}", ":1: `service_instance.components.default.name` is not"),
        ("{{ service_instance.components.default.outputs.A }}", ":1: `service_instance.components.default.outputs.A`"),
    ],
)
def test_an_undefined_name_is_an_error_with_its_line_and_whole_path(renderer, text, message):
    assert fault(renderer, text).startswith(PATH + message)


def test_an_undefined_name_of_a_loop_says_which_item_lacks_it(renderer):
    text = "{% for service_instance in service_instances %}\n{{ service_instance.outputs.Uri }}{% endfor %}"
    message = fault(renderer, text, PIPELINE)
    assert message.startswith(f"{PATH}:2: `service_instances[0].outputs.Uri` is not defined")


@pytest.mark.parametrize(("name", "cure"), [("branch_name", "give the service a repository"), ("x", "give it a value")])
def test_a_documented_name_without_value_says_where_its_value_comes_from(renderer, name, cure):
    namespace = instance_namespace(ServiceFacts("checkout"), InstanceFacts("prod", TEST))
    assert cure in fault(renderer, f"{{{{ service.{name} }}}}", namespace)


def test_names_may_be_asked_for_before_they_are_used(renderer):
    text = (
        "{{ environment.outputs.None | default('a') }} {{ nobody.knows.this | default('b') }} "
        "{{ nobody.knows is defined }} {{ environment.name is defined }} {{ environment['x'].y[0] is undefined }} "
        "{{ 'c' if service_instance.inputs.x is not defined else service_instance.inputs.x }}"
    )
    assert render(renderer, text) == "a b False True True c"


def test_an_absent_component_is_an_empty_map_and_so_are_its_outputs(renderer):
    text = (
        "{% set c = service_instance.components.default %}{{ c }} {{ c | length }} {{ c.outputs }} "
        "{{ c.outputs | length }} {{ c.name | default('none') }} {{ c.outputs.Url | default('no') }}"
        f"[{{{{ c.outputs | {ARNS} }}}}{{{{ c.outputs | {ECS} }}}}]"
    )
    assert render(renderer, text) == "{} 0 {} 0 none no[]"


def test_an_input_may_be_called_like_a_method_of_maps(renderer):
    namespace = environment_namespace(EnvironmentFacts("test", inputs={"values": "v", "items": 1}))
    assert render(renderer, "{{ environment.inputs.values }}{{ environment.inputs.items + 1 }}", namespace) == "v2"


def test_numbers_stay_numbers_and_null_is_jinjas(renderer):
    namespace = {"a": 80, "b": 10**30, "c": 1.0, "d": None}
    assert render(renderer, "{{ a + 1 }} {{ b }} {{ c }} {{ d }}", namespace) == f"81 {10**30} 1.0 None"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n{% if x", ":2: unexpected end of template"),
        ("\n{{ 1 / 0 }}", ":2: ZeroDivisionError: division by zero"),
        ("{{ 1 | nothing }}", ":1: No filter named 'nothing'."),
        ("{% include 'x' %}", ":1: `x` is another file"),
        ("{% macro m() %}\n\n{{ 'a' + 1 }}{% endmacro %}{{ m() }}", ":3: TypeError: can only concatenate"),
    ],
)
def test_whatever_a_template_does_wrong_is_named_with_its_line(renderer, text, message):
    assert fault(renderer, text).startswith(PATH + message)


def test_values_that_cannot_be_passed_on_are_the_callers_fault(renderer):
    with pytest.raises(CallerError, match="JSON"):
        render(renderer, "", {"a": object()})


# --------------------------------------------------------------------------------------------------- filters


def test_a_map_becomes_environment_variables_of_a_container_at_its_placeholders_indentation(renderer):
    text = f"Environment:\n  - Name: FIRST\n    Value: x\n  {{{{ service_instance.inputs.variables | {ECS} }}}}\nCpu: 1"
    assert documents.load(render(renderer, text), "t").value == {
        "Environment": [
            {"Name": "FIRST", "Value": "x"},
            {"Name": "ONE", "Value": "1"},
            {"Name": "TWO", "Value": "b"},
        ],
        "Cpu": 1,
    }


def test_a_map_becomes_variables_of_a_function(renderer):
    text = f"Variables:\n      {{{{ service_instance.inputs.variables\n  | {LAMBDA} }}}}\nEnd: 1\n"
    assert render(renderer, text) == 'Variables:\n      ONE: "1"\n      TWO: b\nEnd: 1'


def test_lines_behind_a_dash_align_with_what_stands_behind_it(renderer):
    text = f"A:\n  - {{{{ service_instance.inputs.variables | {LAMBDA} }}}}\n"
    assert documents.load(render(renderer, text), "t").value == {"A": [{"ONE": "1", "TWO": "b"}]}


def test_lines_are_indented_within_loops_macros_and_blocks_too(renderer):
    for before, after in (
        ("{% for x in [1] %}\n", "{% endfor %}"),
        ("{% macro m() %}\n", "{% endmacro %}{{ m() }}"),
        ("{% set b %}\n", "{% endset %}{{ b }}"),
    ):
        text = f"A:{before}  {{{{ service_instance.inputs.variables | {LAMBDA} }}}}{after}"
        assert documents.load(render(renderer, text), "t").value == {"A": {"ONE": "1", "TWO": "b"}}


def test_lines_passed_on_to_another_filter_are_a_plain_text(renderer):
    text = f"A: {{{{ (service_instance.inputs.variables | {LAMBDA}) | indent(6) }}}}"
    assert render(renderer, text) == 'A: ONE: "1"\n      TWO: b'


def test_only_arns_of_policies_become_a_list_of_them(renderer):
    arn = "arn:aws:iam::123456789012:policy/read"
    namespace = {"outputs": {"A": "hello", "B": arn, "C": f"{arn}\nD: injected", "E": f"x{arn}", "F": None, "G": 5}}
    text = f"Arns:\n  - first\n  {{{{ outputs | {ARNS} }}}}\n"
    assert documents.load(render(renderer, text, namespace), "t").value == {
        "Arns": ["first", arn, f"{arn}\nD: injected"],
    }


@pytest.mark.parametrize("value", ["This-is_valid_37", "arn:aws:sns:eu-west-1:123456789012:topic/a", "", 37])
def test_what_is_harmless_or_an_arn_passes_the_sanitizer_unchanged(renderer, value):
    assert render(renderer, f"{{{{ v | {SANITIZE} }}}}", {"v": value}) == str(value)


@pytest.mark.parametrize("value", ["this::is::incorrect", "a b", "a\n", "arn:aws:x", "arn:aws:s3:::a'b", "{}"])
def test_anything_else_fails_with_protons_sentence(renderer, value):
    message = fault(renderer, f"{{{{ v | {SANITIZE} }}}}", {"v": value})
    assert f'Illegal character(s) detected in "{value}". Must match regex ^[a-zA-Z0-9_-]*$ or be a valid ARN' in message


@pytest.mark.parametrize("name", [ECS, LAMBDA])
def test_values_that_are_not_raw_are_checked(renderer, name):
    good, bad = {"v": {"A": "x-1"}}, {"v": {"A": "x 1"}}
    assert "x-1" in render(renderer, f"{{{{ v | {name}(raw=False) }}}}", good)
    assert "Illegal character(s)" in fault(renderer, f"{{{{ v | {name}(raw=False) }}}}", bad)
    assert '"x 1"' in render(renderer, f"{{{{ v | {name} }}}}", bad)


@pytest.mark.parametrize("name", [ECS, LAMBDA, ARNS])
def test_a_filter_for_maps_refuses_other_values(renderer, name):
    assert "takes a map, not a str" in fault(renderer, f"{{{{ 'x' | {name} }}}}")


@pytest.mark.parametrize("name", [ECS, LAMBDA])
def test_a_variable_without_a_value_is_refused(renderer, name):
    assert "`A` has no value" in fault(renderer, f"{{{{ v | {name} }}}}", {"v": {"A": None}})


AWKWARD = [
    "x", "true", "no", "null", "1", "1e3", "0x1", "1:20", "~", "=", "-", "#", "'", "\"", "{a}", "[a]", "*a", "&a",
    "!a", "%a", "@a", "`a", "?", "<<", "2012-10-17", ".inf", "é", "💙", "a:b", "a,b", "on:", ":", "\\", "|", ">",
    "---", "arn:aws:iam::1:x",
]  # fmt: skip


@pytest.mark.parametrize(
    "text", [*AWKWARD, "", " ", "- a", "a: b", "a #b", "a\nb", " a ", "\t", "\x7f", "\u2028", "a\r"]
)
def test_every_text_is_read_back_from_yaml_as_it_was(renderer, text):
    written = render(renderer, f"{{{{ v | {LAMBDA} }}}}", {"v": {"A": text}})
    assert documents.load(written, "t").value == {"A": text}


# ---------------------------------------------------------------------------------------------------- limits

SLOW = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
TIME, MEMORY = "takes more than 0.3 s of processor time", "takes more than 128 MB of memory"
OUTPUT, NESTED = "is longer than", "nested too deeply"
EITHER = "takes more than"

BOMBS = [
    (SLOW, TIME),
    ("{% set n = namespace(x=9**99) %}{% for i in range(30) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}", TIME),
    ("{{ lipsum(n=10**6) }}", TIME),
    ("{{ 'a' * 10**9 }}", MEMORY),
    ("{{ [1] * 10**9 }}", MEMORY),
    ('{{ "%1000000000d" | format(1) }}', MEMORY),
    ("{{ 'a'.center(10**9) }}", MEMORY),
    ("{{ 'a' | center(10**9) }}", MEMORY),
    ("{{ '{:>1000000000}'.format(1) }}", MEMORY),
    (
        "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = [n.x, n.x] | join %}{% endfor %}",
        EITHER,
    ),
    ("{{ range(10**9) | list }}", "Range too big"),
    ("{% for i in range(99999) %}{{ 'abcdefgh' }}{% endfor %}", OUTPUT),
    ("{% set x %}{% for i in range(99999) %}{{ 'abcdefgh' }}{% endfor %}{% endset %}", OUTPUT),
    ("{{ '💙' * 25001 }}", OUTPUT),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", NESTED),
    ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", NESTED),
    ("{% if 1 %}" * 2000 + "{% endif %}" * 2000, NESTED),
    ("{{ " + "[" * 500 + "]" * 500 + " }}", ""),
    ("{% for a in [1] %}" * 25 + "{% endfor %}" * 25, "too many statically nested blocks"),
]

ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ '' | attr('__class__') }}",
    "{{ ''['__class__'] }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "{{ ('{0.__class__}' | safe).format(1) }}",
    "{{ ['{0.__class__}'] | map('format', 1) | list }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ self.__init__ }}",
    "{{ service_instance.inputs.names.append(1) }}",
    "{{ service_instance.inputs.variables.update({}) }}",
    "{{ [service] | map(attribute='__class__') | list }}",
    "{% for x in (1).__class__.__base__.__subclasses__() %}{% endfor %}",
    "{% import 'os' as os %}",
    "{{ (lipsum | attr('__globals__')).os.popen('id').read() }}",
    "{{ 'x'.encode('rot13') }}",
]


@pytest.mark.parametrize(("text", "limit"), BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_ends_as_an_error_and_the_next_render_works(hasty, text, limit):
    began = time.monotonic()
    message = fault(hasty, text)
    assert message.startswith(PATH) and limit in message
    assert ("raise `rendering." in message) == (limit in (TIME, MEMORY, OUTPUT, EITHER))
    assert time.monotonic() - began < 10
    assert render(hasty, "{{ service.name }}") == "checkout"


@pytest.mark.parametrize("text", ESCAPES)
def test_the_sandbox_cannot_be_left(renderer, text):
    assert fault(renderer, text).startswith(f"{PATH}:1: ")


def each(renderer, *texts):
    return renderer.render_each([(TemplateFile(PATH, text), INSTANCE) for text in texts])


SOUND = ("{{ service.name }}", "checkout")


@pytest.mark.parametrize(
    ("bomb", "limit"), [(SLOW, TIME), BOMBS[3], BOMBS[11], BOMBS[14], ("{{ nothing }}", "nothing")]
)
def test_what_is_rendered_together_fails_alone(hasty, bomb, limit):
    for place in range(3):
        texts = [SOUND[0]] * 2
        texts.insert(place, bomb)
        done = each(hasty, *texts)
        assert [str(text) for number, text in enumerate(done) if number != place] == [SOUND[1]] * 2
        assert isinstance(done[place], BundleError) and limit in str(done[place])


def test_each_of_those_rendered_together_has_a_time_of_its_own(hasty):
    busy = "{% for a in range(4500) %}{% for b in range(250) %}{% endfor %}{% endfor %}"
    assert each(hasty, *[busy] * 12) == [""] * 12


def test_those_rendered_together_may_be_longer_than_a_pipe_holds_and_hold_what_no_worker_can_be_told(renderer):
    long = {"text": "x" * 300_000}
    template, untellable = TemplateFile(PATH, "{{ text }}"), TemplateFile(PATH, "{{ 1 }}")
    first, other, last = renderer.render_each([(template, long), (untellable, {"text": object()}), (template, long)])
    assert first == last == long["text"] and isinstance(other, CallerError)


def test_those_rendered_together_survive_a_worker_that_is_killed():
    before = workers()
    with JinjaRenderer() as renderer:
        render(renderer, "x")
        for pid in workers() - before:
            os.kill(pid, signal.SIGKILL)
        assert each(renderer, SOUND[0], "x") == [SOUND[1], "x"]


def test_checking_is_limited_too(hasty):
    (finding,) = hasty.check(TemplateFile("t.yaml", "{{ 10**(10**9) }}"), Part.INSTANCE)
    assert finding.slug == "template-limit" and TIME in finding.message
    (finding,) = hasty.check(TemplateFile("t.yaml", "{{ " + "(" * 5000), Part.INSTANCE)
    assert NESTED in finding.message
    assert render(hasty, "ok") == "ok"


def test_a_template_may_write_up_to_the_limit_and_no_byte_more(hasty):
    assert len(render(hasty, "{{ 'a' * 100000 }}")) == 100_000
    assert OUTPUT in fault(hasty, "{{ 'a' * 100001 }}")


WORDS = [
    "{{", "}}", "{%", "%}", "{%-", "-%}", "{#", "#}", "for", "x", "in", "endfor", "if", "elif", "else", "endif",
    "set", "endset", "macro", "m", "endmacro", "call", "endcall", "filter", "endfilter", "with", "endwith", "block",
    "endblock", "raw", "endraw", "include", "import", "from", "extends", "scoped", "recursive", "loop", "self",
    "caller", "is", "not", "defined", "default", "upper", "length", "join", "items", "environment", "outputs",
    "service_instance", "inputs", "port", ".", ",", "|", "(", ")", "[", "]", "{", "}", ":", "=", "==", "~", "+", "*",
    "**", "//", "-1", "0", "1", "'a'", "\"b\"", "true", "none", "\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=30), st.sampled_from(Part))
@settings(max_examples=400, deadline=None)
def test_whatever_is_written_ends_as_a_text_or_as_a_finding_and_an_error(hasty, words, part):
    template = TemplateFile(PATH, " ".join(words))
    hasty.check(template, part, {Part.INSTANCE: ["port"]})
    try:
        hasty.render(template, INSTANCE)
    except BundleError as error:
        assert str(error).startswith(PATH)
        assert "ended its worker" not in str(error)


def workers():
    """Processes of ours that render."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = {int(pid) for listed in children for pid in listed.read_text().split()}
    return {pid for pid in pids if is_ours(pid)}


def test_no_worker_runs_before_it_is_needed_and_none_after_the_end():
    before = workers()
    with JinjaRenderer() as renderer:
        assert workers() == before
        render(renderer, "x")
        (started,) = workers() - before
        assert os.getsid(started) == started
    assert workers() == before


def test_a_worker_that_is_killed_from_outside_is_replaced_unnoticed():
    before = workers()
    with JinjaRenderer() as renderer:
        render(renderer, "x")
        for pid in workers() - before:
            os.kill(pid, signal.SIGKILL)
        assert render(renderer, "{{ service.name }}") == "checkout"


def test_a_worker_ends_with_the_process_that_started_it():
    down, up = os.pipe()
    child = os.fork()
    if child == 0:
        renderer = JinjaRenderer()
        before = workers()
        renderer.render(TemplateFile(PATH, "x"), {})
        os.write(up, b" ".join(str(pid).encode() for pid in workers() - before))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(up)
    started = [int(pid) for pid in os.read(down, 100).split()]
    os.close(down)
    assert started
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/cmdline").exists() and is_ours(pid) for pid in started):
        assert time.monotonic() < until
        threading.Event().wait(0.01)


def is_ours(pid):
    try:
        return b"upkeep.adapters.jinja.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_worker_can_open_no_file_and_has_no_environment():
    before = workers()
    with JinjaRenderer(workers=1) as renderer:
        render(renderer, "x")
        (pid,) = workers() - before
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["0", "0"]]
        names = {entry.partition(b"=")[0] for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if entry}
        assert names == {b"PYTHONPATH", b"PYTHONUTF8", b"MALLOC_ARENA_MAX"}


def test_many_threads_render_at_once_through_few_workers(renderer):
    before = workers()

    def one(number):
        if number % 10 == 0:
            return fault(renderer, "{{ missing }}")[-20:]
        return render(renderer, "{{ n }}: {% for i in range(50) %}{{ i }}{% endfor %}" + "#" * number, {"n": number})

    with ThreadPoolExecutor(8) as threads:
        texts = list(threads.map(one, range(200)))
    assert all(text.startswith(f"{number}: 0123") for number, text in enumerate(texts) if number % 10)
    assert len(workers() - before) <= 2


KEPT = """
import gc, os
from datetime import timedelta
from upkeep.adapters.jinja import JinjaRenderer
from upkeep.domain.bundles import TemplateFile
from upkeep.domain.errors import BundleError

renderer = JinjaRenderer(time_for=timedelta(milliseconds=300), memory_bytes=128 * 1024 * 1024, workers=1)
for _ in range(6):
    try:
        renderer.render(TemplateFile("t.yaml", "{{ 'a' * 10**9 }}"), {})
    except BundleError:
        print("refused", end=" ")
    renderer.render(TemplateFile("t.yaml", "x"), {})
    gc.collect()
    print(len(os.listdir("/proc/self/fd")), len(open("/proc/self/task/%d/children" % os.getpid()).read().split()))
"""


def test_neither_descriptors_nor_processes_are_left_by_bombs_and_renders():
    # In a process of its own: those of the tests have threads that open and close what they please.
    counted = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True).stdout
    first, *later = counted.splitlines()
    assert first.startswith("refused") and first.endswith(" 1")
    assert later == [first] * 5


def test_memory_that_one_template_took_is_not_held_against_the_next(hasty):
    for number in range(12):
        render(hasty, "{{ 'a' * 99999 }}" + f"{{# {'x' * 300_000}{number} #}}")
    assert render(hasty, "{{ 'a' * 99999 }}").startswith("aaa")


# -------------------------------------------------------------------------------------------------- checking


@pytest.mark.parametrize(
    "text",
    [
        "{{ service.name }}-{{ service_instance.name }} {{ environment.outputs.Anything.at_all }}",
        "{{ environment.account_id }} {{ service_instance.inputs['x'].y }} {{ service_instance.components.default }}",
        "{% if service_instance.components.default.outputs | length > 0 %}{% endif %}",
        "{% for k, v in service_instance.inputs.items() %}{{ k }}{{ v.x }}{{ loop.index }}{% endfor %}",
        "{% set x = 1 %}{{ x }}{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{% endmacro %}{{ m(1) }}",
        "{% if nobody is defined %}{{ nobody.x }}{% endif %}{{ nobody | default(1) }}{{ nobody.x.y | d(1) }}",
        "{% if environment.x is defined and environment.x.y == 1 %}{{ environment.x.y }}{% endif %}",
        "{{ environment.x if environment.x is defined else 1 }}",
        "{% if 'x' in environment %}{{ environment.x }}{% endif %}",
        "{% with y = service %}{{ y.name }}{% endwith %}{% set e %}{{ service.name }}{% endset %}{{ e }}",
        "{% filter upper %}{{ service.name }}{% endfilter %}{{ range(3) | list }}{{ dict(a=1).a }}",
        "{% macro m() %}{{ caller(1) }}{{ late }}{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}{% set late = 1 %}",
        "{{ {'a': 1}[service.name] }}{{ [1, 2][0:1] }}{{ 'a'.upper().x }}{{ service.name.split('-')[0] }}",
        "{% block a %}{{ service.name }}{% endblock %}{{ self.a() }}",
    ],
)
def test_a_template_that_uses_its_names_well_has_no_findings(renderer, text):
    assert found(renderer, text) == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a\n{% if x", "t.yaml:2: error: unexpected end of template"),
        ("a\n\n{{ enviroment.name }}", "t.yaml:3: error: `enviroment` is not defined in instance templates — did you"),
        (
            "{{ environment.output.A }}",
            "t.yaml:1: error: `environment` has no `output` in instance templates — did you",
        ),
        ("{{ environment.VpcId }}", "has no `VpcId` in instance templates — write `environment.outputs.VpcId`"),
        ("{{ service_instance.port }}", "write `service_instance.inputs.port`"),
        ("{{ service_name }}", "write `service.name`: this is a name of AWS Proton's preview"),
        ("{{ env_name }}", "write `environment.name`"),
        ("{{ pipeline.inputs.x }}", "`pipeline` is not defined in instance templates — the names are `environment`"),
        ("{{ service.name | uper }}", "t.yaml:1: error: there is no filter `uper` — did you mean `upper`?"),
        ("{% if 1 is evn %}{% endif %}", "t.yaml:1: error: there is no test `evn` — did you mean `even`?"),
        ("{% include 'x' %}", "t.yaml:1: error: `include` needs another file"),
        ("{% extends 'x' %}", "t.yaml:1: error: `extends` needs another file"),
        ("{% import 'x' as x %}", "t.yaml:1: error: `import` needs another file"),
        ("{% from 'x' import y %}", "t.yaml:1: error: `import` needs another file"),
        ("{% if environment.x is defined %}{% endif %}\n{{ environment.x }}", "t.yaml:2: error: `environment` has no"),
        ("{% set e = environment %}{{ e.x }}", "`environment` has no `x`"),
        ("{% for x in [1] %}{% endfor %}{{ x }}", "`x` is not defined"),
        ("{% macro m() %}{{ nobody }}{% endmacro %}", "`nobody` is not defined"),
        ("{% for a in [1] %}" * 25 + "{% endfor %}" * 25, "too many statically nested blocks"),
        ("{% break %}", "Encountered unknown tag 'break'"),
    ],
)
def test_what_a_template_uses_wrongly_is_a_finding_with_its_line_and_a_cure(renderer, text, finding):
    (only,) = found(renderer, text)
    assert finding in only


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("{% for service_instance in service_instances %}{{ service_instance.outputs.Url }}{% endfor %}", None),
        ("{{ service_instances[0].environment.account_id }}{{ (service_instances | first).name }}", None),
        ("{% for s in service_instances[1:] if s.name == 'x' %}{{ s.inputs.a }}{% endfor %}", None),
        ("{% for s in service_instances %}{{ s.output.Url }}{% endfor %}", "`service_instances[]` has no `output`"),
        ("{{ service_instances[0].spec.x }}", "write `service_instances[].inputs or service_instances[].outputs`"),
        ("{{ service_instances[0].environment.Vpc }}", "write `service_instances[].environment.outputs.Vpc`"),
        ("{{ service_instance.name }}", "use it within {% for service_instance in service_instances %}"),
        ("{{ pipeline.command }}", "write `pipeline.inputs.command`"),
        ("{{ source.branch }}", "service.branch_name"),
    ],
)
def test_pipelines_have_names_of_their_own(renderer, text, finding):
    findings = found(renderer, text, Part.PIPELINE)
    assert [finding] == [finding for one in findings if finding in one] if finding else findings == []


def test_environments_have_inputs_and_no_outputs(renderer):
    assert found(renderer, "{{ environment.inputs.x }}{{ environment.name }}", Part.ENVIRONMENT) == []
    (finding,) = found(renderer, "{{ environment.vpc_cidr }}", Part.ENVIRONMENT)
    assert "write `environment.inputs.vpc_cidr`" in finding
    (finding,) = found(renderer, "{{ environment.outputs.x }}", Part.ENVIRONMENT)
    assert "has no `outputs`" in finding


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("{{ gone }}", Severity.ERROR),
        ("{% if gone %}{% endif %}", Severity.ERROR),
        ("{% if service.name %}{{ gone }}{% endif %}", Severity.WARNING),
        ("{% if service.name %}{% elif gone %}{% endif %}", Severity.WARNING),
        ("{% if service.name %}{% else %}{{ gone }}{% endif %}", Severity.WARNING),
        ("{{ service.name or gone }}", Severity.WARNING),
        ("{{ gone or service.name }}", Severity.ERROR),
        ("{{ gone if service.name else 1 }}", Severity.WARNING),
        ("{{ 1 if gone else 2 }}", Severity.ERROR),
        ("{% for x in service_instance.inputs.list %}{{ gone }}{% endfor %}", Severity.WARNING),
        ("{% for x in gone %}{% endfor %}", Severity.ERROR),
        ("{% for x in service_instance.inputs.list %}{% else %}{{ gone }}{% endfor %}", Severity.WARNING),
        ("{% macro m() %}{{ gone }}{% endmacro %}", Severity.WARNING),
        ("{% include 'x' ignore missing %}", Severity.WARNING),
        ("{% if service.name %}{% include 'x' %}{% endif %}", Severity.WARNING),
        ("{% include 'x' %}", Severity.ERROR),
    ],
)
def test_what_fails_only_in_a_branch_is_a_warning(renderer, text, severity):
    (finding,) = renderer.check(TemplateFile("t.yaml", text), Part.INSTANCE)
    assert finding.severity is severity


def test_a_service_has_instances_so_that_a_loop_over_them_is_no_branch(renderer):
    text = "{% for s in service_instances %}{{ s.gone }}{% endfor %}"
    (finding,) = renderer.check(TemplateFile("t.yaml", text), Part.PIPELINE)
    assert finding.severity is Severity.ERROR


def test_an_input_the_schema_does_not_declare_is_a_finding_when_the_schema_is_known(renderer):
    text = "{{ service_instance.inputs.prot }}{{ service_instance.inputs.gone.deeper }}"
    assert found(renderer, text) == []
    findings = found(renderer, text, declared={Part.INSTANCE: ["port"]})
    assert len(findings) == 2
    assert "`service_instance.inputs.prot` is not an input of the schema — did you mean" in findings[0]
    assert "`service_instance.inputs.gone` is not an input of the schema — declare it" in findings[1]
    guarded = "{% if service_instance.inputs.gone is defined %}{{ service_instance.inputs.gone }}{% endif %}"
    assert found(renderer, guarded, declared={Part.INSTANCE: ["port"]}) == []
    listed = "{% for s in service_instances %}{{ s.inputs.port }}{{ s.inputs.x }}{% endfor %}{{ pipeline.inputs.y }}"
    declared = {Part.INSTANCE: ["port"], Part.PIPELINE: ["y"]}
    (finding,) = found(renderer, listed, Part.PIPELINE, declared)
    assert "`service_instances[].inputs.x` is not an input" in finding


def test_of_all_samples_only_the_two_known_ones_have_findings(renderer, samples):
    parts = {part.folder: part for part in Part}
    checked, findings = 0, {}
    for path in sorted(samples.rglob("*.y*ml")):
        part = parts.get(path.parent.name)
        if part is None or path.name == "manifest.yaml":
            continue
        checked += 1
        lines = renderer.check(TemplateFile("t.yaml", path.read_text()), part, declared_inputs(path.parents[1]))
        if lines:
            findings[path.parents[1].name] = [(finding.line, finding.message) for finding in lines]
    assert checked > 40
    assert list(findings) == ["invalid_jinja_syntax_template", "invalid_jinja_template"]
    assert [line for line, _ in findings["invalid_jinja_syntax_template"]] == [31]
    ((line, message),) = findings["invalid_jinja_template"]
    assert (line, message) == (30, "`service_instance.inputs.this_does` is not an input of the schema")


def declared_inputs(bundle):
    path = bundle / "schema" / "schema.yaml"
    if not path.exists():
        return {}
    schema = documents.load(path.read_text(), str(path)).value["schema"]
    kinds = {"environment": Part.ENVIRONMENT, "service": Part.INSTANCE, "pipeline": Part.PIPELINE}
    return {
        part: list(schema["types"][schema[f"{kind}_input_type"]].get("properties") or {})
        for kind, part in kinds.items()
        if f"{kind}_input_type" in schema
    }
