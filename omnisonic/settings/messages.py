"""What to say about a setting that cannot be used: a sentence that names its variable and shows no secret. Pure."""

from pydantic_core import ErrorDetails

from omnisonic.redaction import redacted_text


def sentence(problem: ErrorDetails, variable: str) -> str:
    """One of pydantic's findings, for the person who set `variable`, which is empty when it is about several."""
    if not variable:
        return _demand(problem) + "."
    if _holds_secret(variable, str(problem["input"])):
        return f"{variable}: {_demand(problem)}."
    return redacted_text(f'{variable} is "{problem["input"]}": {_demand(problem)}.')


def _holds_secret(variable: str, value: str) -> bool:
    """Whether a value must not be shown. A URL that cannot be read may have its password anywhere before the `@`."""
    return variable.endswith(("_SECRET", "_TOKEN", "_KEY")) or (variable.endswith("_URL") and "@" in value)


def _demand(problem: ErrorDetails) -> str:
    limits = problem.get("ctx", {})
    match problem["type"]:
        case "int_parsing" | "int_from_float":
            return "it must be a whole number"
        case "bool_parsing" | "bool_type":
            return "it must be true or false"
        case "float_parsing" | "finite_number":
            return "it must be a number"
        case "greater_than_equal":
            return f"it must be at least {limits['ge']:g}"
        case "less_than_equal":
            return f"it must be at most {limits['le']:g}"
        case "literal_error":
            return f"it must be {str(limits['expected']).replace(chr(39), '')}"
        case _:
            return str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
