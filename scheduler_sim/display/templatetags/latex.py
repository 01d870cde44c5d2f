"""What templates of LaTeX documents say of texts that are not theirs."""

from django import template

from scheduler_sim.display.latex import code, tex

register = template.Library()
register.filter("tex", tex)
register.filter("code", code)
