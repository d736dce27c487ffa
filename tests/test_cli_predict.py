"""``slipstream predict``: CSV in, CSV or JSON lines out, the library's own answers."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_runs import refusal, slipstream
from http_models import canary_of, json_rows, model_folder, rows_of, trained
from http_server import clean_environment
from slipstream.cli.answer_writers import Answers, csv_writer, json_writer
from slipstream.cli.csv_rows import CsvRows
from slipstream.engine.signature import Signature
from slipstream.errors import InvalidInputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory)


@pytest.fixture(scope="module")
def state(folder: Path) -> Path:
    return folder / ".slipstream"


def table(rows: list[list[Any]], names: list[str] | None = None) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    if names is not None:
        writer.writerow(names)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue()


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


class TestPredict:
    def test_named_columns_in_any_order(self, folder: Path, state: Path, tmp_path: Path) -> None:
        rows = rows_of("penguins", 60)
        shuffled = rows[rows.columns[::-1]].assign(comment="ignored")
        file = tmp_path / "rows.csv"
        shuffled.to_csv(file, index=False)
        ended = slipstream("predict", folder / "penguins.pkl", file, "--probabilities", state=state)
        assert ended.returncode == 0, ended.stderr
        answers = read(ended.stdout)
        model = trained("penguins")
        assert [row["prediction"] for row in answers] == model.predict(rows).tolist()
        names = [f"probability_{label}" for label in model.classes_]
        assert list(answers[0]) == ["prediction", *names]
        given = [[float(row[name]) for name in names] for row in answers]
        assert np.allclose(given, model.predict_proba(rows), rtol=0, atol=1e-5)

    def test_many_rows_without_names(self, folder: Path, state: Path, tmp_path: Path) -> None:
        rows = np.tile(rows_of("wine", 100), (100, 1))
        assert len(rows) > 2 * 4096
        for header in (None, [f"c{index}" for index in range(rows.shape[1])]):
            ended = slipstream(
                *("predict", folder / "wine.pkl", "-"),
                stdin=table(rows.tolist(), header),
                state=state,
            )
            assert ended.returncode == 0, ended.stderr
            given = [int(row["prediction"]) for row in read(ended.stdout)]
            assert given == trained("wine").predict(rows).tolist()

    def test_json_lines_to_a_file(self, folder: Path, state: Path, tmp_path: Path) -> None:
        rows, target = rows_of("cancer", 7), tmp_path / "answers.jsonl"
        arguments = ("--json", "--probabilities", "--output", target)
        ended = slipstream(
            *("predict", folder / "cancer.pkl", "-", *arguments),
            stdin=table(json_rows(rows)),
            state=state,
        )
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
        answers = [json.loads(line) for line in target.read_text().splitlines()]
        model = trained("cancer")
        assert [row["prediction"] for row in answers] == model.predict(rows).tolist()
        given = [row["probabilities"] for row in answers]
        assert np.allclose(given, model.predict_proba(rows), rtol=0, atol=1e-5)

    def test_a_regression_keeps_every_digit(self, folder: Path, state: Path) -> None:
        rows = rows_of("diabetes", 20)
        ended = slipstream(
            *("predict", folder / "diabetes.pkl", "-"), stdin=table(json_rows(rows)), state=state
        )
        given = [float(row["prediction"]) for row in read(ended.stdout)]
        assert np.allclose(given, trained("diabetes").predict(rows), rtol=1e-12)

    def test_a_graph_that_takes_text(self, folder: Path, state: Path) -> None:
        ended = slipstream(
            *("predict", folder / "words.onnx", "-", "--no-header"),
            stdin="one\ntwo\nfour\n",
            state=state,
        )
        assert ended.stdout == "prediction_0\n1\n2\n-1\n"

    def test_a_reader_that_has_enough(self, folder: Path, state: Path, tmp_path: Path) -> None:
        file = tmp_path / "rows.csv"
        file.write_text(table(np.tile(rows_of("diabetes", 20), (2000, 1)).tolist()))
        command = [sys.executable, "-m", "slipstream.cli.main", "predict"]
        with subprocess.Popen(
            [*command, str(folder / "diabetes.pkl"), str(file)],
            env={**clean_environment(), "STATE_DIR": str(state)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == b"prediction\n"
            process.stdout.close()
            complaint = process.stderr.read()
            assert process.wait(60) == 1
        assert b"Traceback" not in complaint
        assert b"Exception" not in complaint


class TestRefusals:
    def test_a_bad_row_names_its_line_and_leaves_the_output_alone(
        self, folder: Path, state: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "answers.csv"
        target.write_text("what was there\n")
        rows = json_rows(rows_of("wine", 3))
        rows[2][4] = "much"
        file = tmp_path / "rows.csv"
        file.write_text(table(rows))
        ended = slipstream(*("predict", folder / "wine.pkl", file, "--output", target), state=state)
        line = refusal(ended)
        assert f"{file} line 3: column 5 takes a number, got 'much'" in line
        assert target.read_text() == "what was there\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "rows.csv"]

    def test_models_that_cannot_be_asked(self, folder: Path, state: Path) -> None:
        def refused(model: str, stdin: str, *more: str) -> str:
            return refusal(
                slipstream("predict", folder / model, "-", *more, stdin=stdin, state=state)
            )

        assert "'left'" in refused("pair.onnx", "1,2\n")
        assert "row by row" in refused("whole.onnx", "1,2,3\n4,5,6\n")
        assert "probabilities" in refused("diabetes.pkl", "1," * 9 + "1\n", "--probabilities")
        assert "system" in refused("hostile.pkl", "1\n")
        assert not canary_of(folder).exists()

    def test_files_that_are_not_there(self, folder: Path, state: Path, tmp_path: Path) -> None:
        absent = tmp_path / "absent"
        assert "absent" in refusal(slipstream("predict", absent, "-", state=state))
        wine = folder / "wine.pkl"
        assert "absent" in refusal(slipstream("predict", wine, absent, state=state))
        target = absent / "out.csv"
        line = refusal(
            slipstream("predict", wine, "-", "--output", target, stdin="1\n", state=state)
        )
        assert str(target) in line
        assert "no rows" in refusal(slipstream("predict", wine, "-", state=state))


def signature(*inputs: tuple[str, str, tuple[int, ...]], **changes: Any) -> Signature:
    settings: dict[str, Any] = {
        "layout": "matrix",
        "outputs": [],
        "column_names": (),
        "accepts_missing": True,
    }
    return Signature(inputs=list(inputs), **{**settings, **changes})


NUMBERS = signature(("input", "float64", (-1, 3)))
NAMED = signature(("input", "float64", (-1, 2)), column_names=("a", "b"))
MIXED = signature(
    ("name", "string", (-1, 1)),
    ("count", "int64", (-1, 1)),
    ("good", "bool", (-1, 1)),
    layout="columns",
    column_names=("name", "count", "good"),
)


def chunks(text: str, of: Signature, most: int = 100, **options: Any) -> list[Any]:
    return list(CsvRows(io.StringIO(text, newline=""), "f.csv", of, **options).chunks(most))


class TestCsv:
    def test_chunks(self) -> None:
        parts = chunks("1,2,3\n4,,6\n7,8,9\n", NUMBERS, most=2)
        assert [part.shape for part in parts] == [(2, 3), (1, 3)]
        assert np.array_equal(parts[0], [[1, 2, 3], [4, np.nan, 6]], equal_nan=True)

    @pytest.mark.parametrize(
        "text",
        [
            "1,2,3\n",
            "1,2,3",
            "1,2,3\r\n\r\n",
            ' 1 ,"2",3e0\n',
            "x,y,z\n1,2,3\n",
            "\nx,y,z\n1,2,3\n".lstrip("\n"),
        ],
    )
    def test_spellings(self, text: str) -> None:
        assert np.array_equal(np.concatenate(chunks(text, NUMBERS)), [[1, 2, 3]])

    def test_a_width_that_the_model_leaves_open(self) -> None:
        free = signature(("x", "float32", (-1, -1)))
        assert chunks("1,2\n3,4\n", free)[0].tolist() == [[1, 2], [3, 4]]
        with pytest.raises(InvalidInputError, match="line 2: has 3 values; the model takes 2"):
            chunks("1,2\n3,4,5\n", free)

    def test_names(self) -> None:
        assert chunks("b,c,a\n1,2,3\n", NAMED)[0].tolist() == [[3, 1]]
        assert chunks("3,1\n", NAMED, header=False)[0].tolist() == [[3, 1]]

    def test_types(self) -> None:
        (part,) = chunks("count,good,name\n5,TRUE,x\n-6,0,\n", MIXED)
        values = {name: column.tolist() for name, column in part.items()}
        assert values == {"name": ["x", None], "count": [5, -6], "good": [True, False]}

    def test_columns_of_a_graph(self) -> None:
        graph = signature(
            ("a", "float32", (-1, 1)), ("b", "int64", (-1,)), layout="tensors", column_names=()
        )
        (part,) = chunks("b,a\n1,2.5\n3,4.5\n", graph)
        assert part["a"].tolist() == [[2.5], [4.5]]
        assert part["b"].tolist() == [1, 3]

    @pytest.mark.parametrize(
        ("text", "of", "says"),
        [
            ("1,2\n", NUMBERS, "line 1: has 2 values; the model takes 3"),
            ("1,2,3\n1,2,3,4\n", NUMBERS, "line 2: has 4 values; the model takes 3"),
            ("1,x,3\n", NUMBERS, "line 1: column 2 takes a number, got 'x'"),
            ("1,2_0,3\n", NUMBERS, "line 1: column 2 takes a number, got '2_0'"),
            ('1,2,"3\n', NUMBERS, "line 1: is not CSV"),
            ("a,c\n1,2\n", NAMED, "line 1: the model takes the column 'b'"),
            ("a,b,a\n1,2,3\n", NAMED, "names it twice"),
            ("c,a,b\n1,2\n", NAMED, "line 2: has 2 values, fewer than the first line has names"),
            ("name,count,good\nx,1.5,1\n", MIXED, "column 'count' takes a whole number"),
            ("name,count,good\nx,,1\n", MIXED, "column 'count' is empty"),
            ("name,count,good\nx,1,maybe\n", MIXED, "column 'good' takes true or false"),
            (f"name,count,good\nx,{10**30},1\n", MIXED, "line 2"),
            (
                "1,,3\n",
                NUMBERS._replace(accepts_missing=False),
                "line 1: column 2 is empty, and the model takes no missing values",
            ),
        ],
    )
    def test_what_does_not_fit(self, text: str, of: Signature, says: str) -> None:
        with pytest.raises(InvalidInputError) as caught:
            chunks(text, of)
        assert caught.value.message.startswith("f.csv line ")
        assert says in caught.value.message

    def test_inputs_that_are_no_table(self) -> None:
        for one in (("image", "float32", (-1, 8, 8)), ("scalar", "float32", ())):
            with pytest.raises(InvalidInputError, match="no columns of a table"):
                chunks("1\n", signature(one, layout="tensors"))


class TestWriters:
    def answers(self) -> Answers:
        predictions = {
            "score": np.array([0.1, np.nan], dtype=np.float32),
            "pair": np.array([[1, 2], [3, 4]]),
            "word": np.array(["a,b", None], dtype=object),
        }
        return Answers(2, predictions, None)

    def test_csv(self) -> None:
        stream = io.StringIO()
        write = csv_writer(stream, None)
        write(self.answers())
        write(self.answers())
        body = '0.1,1,2,"a,b"\n,3,4,\n'
        assert stream.getvalue() == "score,pair_0,pair_1,word\n" + 2 * body

    def test_json(self) -> None:
        stream = io.StringIO()
        json_writer(stream)(self.answers())
        assert [json.loads(line)["prediction"] for line in stream.getvalue().splitlines()] == [
            {"score": 0.1, "pair": [1, 2], "word": "a,b"},
            {"score": None, "pair": [3, 4], "word": None},
        ]

    def test_probabilities_of_several_targets(self) -> None:
        tables = [np.array([[0.25, 0.75]]), np.array([[0.5, 0.5]])]
        answers = Answers(1, np.array([[0, 1]]), tables)
        text, lines = io.StringIO(), io.StringIO()
        csv_writer(text, None)(answers)
        json_writer(lines)(answers)
        assert text.getvalue().splitlines()[0] == (
            "prediction_0,prediction_1,"
            "probability_0_0,probability_0_1,probability_1_0,probability_1_1"
        )
        assert json.loads(lines.getvalue()) == {
            "prediction": [0, 1],
            "probabilities": [[0.25, 0.75], [0.5, 0.5]],
        }

    def test_what_is_no_table(self) -> None:
        for shape in ((2, 2, 2), (3,), ()):
            answers = Answers(2, np.zeros(shape), None)
            with pytest.raises(InvalidInputError):
                csv_writer(io.StringIO(), None)(answers)
