"""Metric math (AmazonCloudWatch/latest/monitoring/using-metric-math.html), as far as alarms and dashboards of a service use
it: arithmetic, comparisons, AND/OR, and the functions below, point by point. What is missing in an input is missing in the
result, and so is a division by zero."""
import ast
import math
import re


class Unsupported(ValueError):
    """An expression that cannot be evaluated here; the text says which part."""


def _all(function):
    """Over several series, point by point; over one series, one number for all of its points."""
    def apply(evaluation, arguments, at):
        values = [value for argument in arguments for value in evaluation.several(argument, at)]
        present = [value for value in values if value is not None]
        return function(present) if present else None
    return apply


def _each(function):
    def apply(evaluation, arguments, at):
        value = evaluation.value(arguments[0], at)
        return None if value is None else function(value)
    return apply


def _if(evaluation, arguments, at):
    condition = evaluation.value(arguments[0], at)
    if condition is None:
        return None
    chosen = arguments[1] if condition else (arguments[2] if len(arguments) > 2 else None)
    return None if chosen is None else evaluation.value(chosen, at)


def _fill(evaluation, arguments, at):
    value = evaluation.value(arguments[0], at)
    return evaluation.value(arguments[1], at) if value is None else value


_FUNCTIONS = {
    "SUM": _all(sum), "MIN": _all(min), "MAX": _all(max), "AVG": _all(lambda values: sum(values) / len(values)),
    "ABS": _each(abs), "CEIL": _each(math.ceil), "FLOOR": _each(math.floor), "IF": _if, "FILL": _fill,
}
_OPERATORS = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b if b else None, ast.Pow: lambda a, b: a ** b,
    ast.Gt: lambda a, b: float(a > b), ast.GtE: lambda a, b: float(a >= b), ast.Lt: lambda a, b: float(a < b),
    ast.LtE: lambda a, b: float(a <= b), ast.Eq: lambda a, b: float(a == b), ast.NotEq: lambda a, b: float(a != b),
}


def parse(expression):
    """The tree of an expression, whose parts are all known here."""
    words = re.sub(r"\bAND\b|&&", " and ", expression)
    words = re.sub(r"\bOR\b|\|\|", " or ", words).replace("^", "**")
    try:
        tree = ast.parse(words.strip(), mode="eval").body
    except SyntaxError as error:
        raise Unsupported(f"{expression!r} is no expression: {error.msg}") from None
    for node in ast.walk(tree):
        _check(node, expression)
    return tree


def _check(node, expression):
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", None)
        if name not in _FUNCTIONS and name != "METRICS":
            raise Unsupported(f"{expression!r}: the function {name} is not evaluated here")
    if isinstance(node, ast.Constant) and not isinstance(node.value, (int, float)):
        raise Unsupported(f"{expression!r}: {node.value!r} is no number")
    known = (ast.Call, ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.USub, ast.Compare, ast.BoolOp, ast.And, ast.Or,
             ast.List, ast.Load, *_OPERATORS)
    if not isinstance(node, known) or (isinstance(node, ast.Compare) and len(node.ops) != 1):
        raise Unsupported(f"{expression!r}: {type(node).__name__} is not evaluated here")


class Evaluation:
    """Series by id, each a list of values or None, all of one length; `metrics` are the ids that METRICS() stands for."""

    def __init__(self, series, metrics):
        self.series, self.metrics = series, metrics

    def whole(self, tree):
        """The series of an expression."""
        length = max((len(values) for values in self.series.values()), default=0)
        return [self.value(tree, at) for at in range(length)]

    def value(self, node, at):
        if isinstance(node, ast.Constant):
            return float(node.value)
        if isinstance(node, ast.Name):
            if node.id not in self.series:
                raise Unsupported(f"there is no metric {node.id}")
            return self.series[node.id][at]
        if isinstance(node, ast.UnaryOp):
            value = self.value(node.operand, at)
            return None if value is None else -value
        if isinstance(node, ast.BinOp):
            return self._pair(node.op, node.left, node.right, at)
        if isinstance(node, ast.Compare):
            return self._pair(node.ops[0], node.left, node.comparators[0], at)
        if isinstance(node, ast.BoolOp):
            values = [self.value(part, at) for part in node.values]
            if None in values:
                return None
            return float(all(values) if isinstance(node.op, ast.And) else any(values))
        if isinstance(node, ast.Call) and node.func.id in _FUNCTIONS:
            return _FUNCTIONS[node.func.id](self, node.args, at)
        raise Unsupported(f"{ast.dump(node)} is a series of series")

    def _pair(self, operator, left, right, at):
        left, right = self.value(left, at), self.value(right, at)
        return None if left is None or right is None else _OPERATORS[type(operator)](left, right)

    def several(self, node, at):
        """What an aggregate runs over: the metrics of a list at one point, or all points of one metric."""
        if isinstance(node, ast.List):
            return [self.value(part, at) for part in node.elts]
        if isinstance(node, ast.Call) and node.func.id == "METRICS":
            return [self.series[name][at] for name in self.metrics]
        return self.whole(node)


def evaluate(queries, series_of):
    """Each query's series by id: `series_of(metric_stat)` for metrics, the rest by their expressions, in any order."""
    series = {query["Id"]: series_of(query["MetricStat"]) for query in queries if query.get("MetricStat")}
    metrics = list(series)
    waiting = {query["Id"]: parse(query["Expression"]) for query in queries if query.get("Expression")}
    while waiting:
        ready = [name for name, tree in waiting.items() if not _needs(tree) & set(waiting)]
        if not ready:
            raise Unsupported(f"{', '.join(waiting)}: the expressions name each other")
        for name in ready:
            series[name] = Evaluation(series, metrics).whole(waiting.pop(name))
    return series


def _needs(tree):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(_FUNCTIONS) - {"METRICS"}
