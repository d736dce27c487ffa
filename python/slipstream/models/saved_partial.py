"""What takes the place of ``functools.partial`` in a model's pickle.

HistGradientBoosting with categorical features keeps its check of numeric columns as a partial call
of scikit-learn's ``check_array``. Nothing else is admitted: a partial call of whatever a pickle
names would be that pickle's to run.
"""

from __future__ import annotations

from typing import Any

from slipstream.errors import UnsafeModelError

_OPTIONS = frozenset({"dtype", "ensure_all_finite"})


class SavedPartial:
    """``partial(check_array, dtype=…, ensure_all_finite=…)``, and nothing else.

    Attributes:
        func: ``sklearn.utils.validation.check_array``.
        keywords: Its options.
    """

    def __init__(self, func: Any) -> None:
        """Raise `UnsafeModelError` for any function but ``check_array``."""
        from sklearn.utils.validation import check_array

        if func is not check_array:
            raise UnsafeModelError("the pickle keeps a call of a function that no model needs")
        self.func = func
        self.keywords: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        """Take the state of a partial: function, positional arguments, options, attributes."""
        func, args, keywords, attributes = state
        if func is not self.func or args or attributes or not set(keywords or {}) <= _OPTIONS:
            raise UnsafeModelError("the pickle keeps a call with arguments that no model needs")
        self.keywords = dict(keywords or {})

    def __call__(self, rows: Any) -> Any:
        """``check_array(rows)`` with the options."""
        return self.func(rows, **self.keywords)
