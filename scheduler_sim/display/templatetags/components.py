"""What repeats on the pages: tables, their downloads, badges, choices and the way back.

Django's own tags do: a component is a function with a name that a template loads, and one with contents a block. Parts
without a parameter worth checking are plain includes in templates/components/.
"""

from collections.abc import Iterable
from typing import Any

from django import template
from django.db.models import Model
from django.template.loader import get_template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from scheduler_sim.display import viewing
from scheduler_sim.display.templatetags.pages import figure_head

register = template.Library()
register.simple_tag(viewing.chart_source)

_NUMBER = mark_safe(' class="number"')


@register.simple_block_tag
def table(
    content: str,
    label: str,
    *columns: str,
    numbers: Iterable[str] = (),
    figures: Iterable[str] = (),
    sticky: str = "",
    kind: str = "",
    body: str = "",
    empty: str = "",
) -> SafeString:
    """Draw a table that scrolls on its own where it is too wide, and can be reached by the keyboard.

    `label` is read to people who cannot see it, `sticky` names the column that stays (`first` or `name`), `kind` is the
    table's class. With the names of its `columns`, `#` before those that hold numbers and `=` before those that are
    figures, the contents are the rows; scripts find them by the attribute `data-` and then `body`. A name that is empty
    is no column; behind the others stand those of `numbers`, then `figures` by their names. Without names the contents
    begin with a head, and what follows are the rows. `empty` is said where there is no row.
    """
    if empty and not content.strip():
        return format_html('<p class="muted">{}</p>', empty)
    if columns:
        content = format_html(
            "\n<thead>\n<tr>{}</tr>\n</thead>\n<tbody{}>{}</tbody>\n",
            format_html_join(
                "",
                '<th scope="col"{}>{}</th>',
                [
                    *map(_head, filter(None, columns)),
                    *((_NUMBER, name) for name in numbers),
                    *((_NUMBER, figure_head(name)) for name in figures),
                ],
            ),
            format_html(" data-{}", body) if body else "",
            content,
        )
    elif "<tbody" not in content:
        head, end, rows = content.rpartition("</thead>")
        content = format_html("{}\n<tbody>{}</tbody>\n", SafeString(head + end), SafeString(rows))
    return format_html(
        '<div class="table-scroll{}" tabindex="0" role="region" aria-label="{}">\n<table{}>{}</table>\n</div>',
        f" sticky-{sticky}" if sticky else "",
        label,
        format_html(' class="{}"', kind) if kind else "",
        content,
    )


def _head(column: str) -> tuple[str, str]:
    """Return the class of a column's head, and what it says."""
    if column.startswith("="):
        return _NUMBER, figure_head(column[1:])
    return _NUMBER if column.startswith("#") else "", column.removeprefix("#")


@register.simple_block_tag
def followed(content: str, goes_on: bool, label: str = "Progress", kind: str = "card") -> SafeString:
    """Draw the part of a page that a script puts a newer one in the place of while something goes on."""
    return format_html(
        '<section class="{}" id="study-progress"{}{}>{}</section>',
        kind,
        format_html(' aria-label="{}"', label) if label else "",
        " data-study-progress" if goes_on else "",
        content,
    )


@register.simple_block_tag
def fact(content: str, name: str, empty: str = "") -> SafeString:
    """Draw one of the facts at the head of a page; `empty` is said where it is not known."""
    if empty and not content.strip():
        content = format_html('<span class="no-data">{}</span>', empty)
    return format_html("<div>\n<dt>{}</dt>\n<dd>{}</dd>\n</div>", name, content)


@register.simple_tag
def linked(route: str, row: Model) -> SafeString:
    """Draw the way to a row's page, called as the row is."""
    return format_html('<a href="{}">{}</a>', reverse(route, args=[row.pk]), row)


@register.simple_tag
def stated(words: str, value: object) -> SafeString:
    """Draw one of the facts below a page's title, where it is known."""
    return mark_safe("") if value in (None, "") else format_html("<span>{} <b>{}</b></span>", words, value)


@register.inclusion_tag("components/downloads.html", takes_context=True)
def downloads(context: dict[str, Any], route: str = "", *arguments: object, table: str = "", query: str = "") -> Any:
    """Offer a table as CSV and JSON.

    Without a route it is this page in another format, of the page's table `table` where it has several; a route takes
    its `arguments` and then the format, and `query` follows it as it is.
    """
    if route:
        tail = f"?{query}" if query else ""
        return {kind: reverse(route, args=[*arguments, kind]) + tail for kind in ("csv", "json")}
    view = context["request"].GET.copy()
    view.pop("page", None)
    if table:
        view["table"] = table
    addresses = {}
    for kind in ("csv", "json"):
        view["format"] = kind
        addresses[kind] = f"?{view.urlencode()}"
    return addresses


@register.inclusion_tag("components/card_head.html", takes_context=True)
def card_head(context: dict[str, Any], title: str, *, table: str = "", offered: object = True) -> dict[str, Any]:
    """Head a card with its title and, if they are `offered`, the downloads of the page's table `table`."""
    return {"title": title, **(downloads(context, table=table) if offered else {})}


@register.simple_block_tag(takes_context=True)
def listing(
    context: dict[str, Any],
    content: str,
    title: str,
    *columns: str,
    name: str = "",
    place: str = "",
    offered: object = True,
    if_any: bool = False,
    **drawn: Any,
) -> SafeString:
    """Draw a card, its id `place`, that is one table, the page's `name`: see `card_head` and `table`.

    With `if_any` nothing is drawn where there is no row.
    """
    if if_any and not content.strip():
        return mark_safe("")
    head = get_template("components/card_head.html").render(card_head(context, title, table=name, offered=offered))
    return format_html(
        '<section class="card"{}>{}{}</section>',
        format_html(' id="{}"', place) if place else "",
        head,
        table(content, title, *columns, **drawn),
    )


@register.inclusion_tag("components/status.html")
def status(text: str, interrupted: bool = False, run: int | None = None, page: bool = False) -> dict[str, Any]:
    """Draw the badge of a status; scripts find it as that of a `run` on a list, or as that of the page."""
    return {"shown": "interrupted" if interrupted else text, "run": run, "page": page}


@register.inclusion_tag("components/titled.html")
def titled(title: str, text: str, interrupted: bool = False, page: bool = False) -> dict[str, Any]:
    """Head a page with its title and the badge of a status, as `status` draws it."""
    return {"title": title, **status(text, interrupted, page=page)}


@register.inclusion_tag("components/options.html")
def options(choices: Iterable[Any], chosen: Any = "") -> dict[str, Any]:
    """Write the options of a select: names, or pairs of a value and what is read; `chosen` is the value in force."""
    pairs = [one if isinstance(one, tuple | list) else (one, one) for one in choices]
    return {"pairs": pairs, "chosen": chosen}


@register.inclusion_tag("components/filter_text.html")
def text_filter(name: str, label: str, value: str, kind: str = "") -> dict[str, Any]:
    """Draw a filter of a list by a text, or by what another `kind` of input takes."""
    return {"name": name, "label": label, "value": value, "kind": kind}


@register.inclusion_tag("components/filter_choice.html")
def choice_filter(name: str, label: str, choices: Iterable[Any], chosen: Any, none: str) -> dict[str, Any]:
    """Draw a filter of a list by one of `choices`, see `options`; `none` is what no choice is called."""
    return {"name": name, "label": label, "choices": choices, "chosen": chosen, "none": none}


@register.inclusion_tag("components/choice.html")
def choose(name: str, label: str, choices: Iterable[Any], chosen: Any) -> dict[str, Any]:
    """Draw a field by which a page shows something else, as soon as one of `choices` is taken; see `options`."""
    return {"name": name, "label": label, "choices": choices, "chosen": chosen}


@register.inclusion_tag("components/number_field.html")
def number_field(name: str, label: str, value: Any, *, least: int, most: int) -> dict[str, Any]:
    """Draw a field for a number."""
    return {"name": name, "label": label, "value": value, "least": least, "most": most}


@register.inclusion_tag("components/editor_button.html")
def row_button(words: str, what: str, number: int, does: str, place: str) -> dict[str, Any]:
    """Draw a button that does something to a row of an editor, at `place` on the page; rows count from 0."""
    return {"words": words, "what": what, "number": number, "does": does, "place": place}


@register.simple_tag
def crumbs(route: str, words: str, title: object = "") -> SafeString:
    """Draw the way back to the list that a page belongs to, and below it the page's `title`, where it is given."""
    way = format_html('<nav class="crumbs" aria-label="Breadcrumb"><a href="{}">{}</a></nav>', reverse(route), words)
    return way + format_html("<h1>{}</h1>", title) if title else way
