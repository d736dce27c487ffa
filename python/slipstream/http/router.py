"""The route table, compiled: a literal path costs one dictionary look-up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from slipstream.http.errors import EndpointNotFoundError, MethodNotAllowedError
from slipstream.http.types import Route

Methods: TypeAlias = dict[str, Route]


class _Node:
    """One path segment of the patterns: literal children, and at most one ``{name}`` child."""

    __slots__ = ("literal", "methods", "name", "parameter")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.name = ""
        self.methods: Methods = {}


class Router:
    """Finds the route of a path. A literal segment beats a parameter; paths match exactly."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Methods] = {}
        self._root = _Node()
        for route in routes:
            if "{" in route.path:
                self._add(self._pattern(route.path), route)
            else:
                self._add(self._exact.setdefault(route.path, {}), route)

    @staticmethod
    def _add(methods: Methods, route: Route) -> None:
        if route.method in methods:
            raise ValueError(f"two routes for {route.method} {route.path}")
        methods[route.method] = route
        if route.method == "GET":
            methods["HEAD"] = route

    def _pattern(self, path: str) -> Methods:
        node = self._root
        for segment in path.split("/")[1:]:
            if not segment.startswith("{"):
                node = node.literal.setdefault(segment, _Node())
                continue
            if node.parameter is None:
                node.parameter = _Node()
                node.parameter.name = segment[1:-1]
            node = node.parameter
            if node.name != segment[1:-1]:
                raise ValueError(f"{path}: {segment} is called {{{node.name}}} in another route")
        return node.methods

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and the values of its parameters.

        Raises:
            EndpointNotFoundError: no route has this path.
            MethodNotAllowedError: the path takes other methods.
        """
        methods = self._exact.get(path)
        params: dict[str, str] = {}
        if methods is None:
            methods = self._match(path, params)
        if not methods:
            raise EndpointNotFoundError(f"There is no endpoint {path}", path=path)
        route = methods.get(method)
        if route is None:
            allowed = tuple(methods)
            raise MethodNotAllowedError(
                f"{path} does not take {method}; it takes {', '.join(allowed)}",
                method=method,
                allowed=allowed,
            )
        return route, params

    def _match(self, path: str, params: dict[str, str]) -> Methods | None:
        """Walks the patterns, stepping back to a parameter where a literal led nowhere."""
        segments = path.split("/")[1:]
        if len(segments) > 16:
            return None

        def walk(node: _Node, index: int) -> Methods | None:
            if index == len(segments):
                return node.methods or None
            segment = segments[index]
            child = node.literal.get(segment)
            if child is not None:
                found = walk(child, index + 1)
                if found:
                    return found
            if node.parameter is None or not segment:
                return None
            found = walk(node.parameter, index + 1)
            if found:
                params[node.parameter.name] = segment
            return found

        return walk(self._root, 0)
