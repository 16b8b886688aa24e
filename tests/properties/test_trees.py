"""LightGBM's trees without LightGBM, and exact TreeSHAP: against LightGBM and shap themselves."""

import re

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sealed import check_numbers
from models.trees import trees_from_text

ODD = np.array(
    [0, -0.0, 1e-36, -1e-36, 1e-35, np.nan, np.inf, -np.inf, -0.5, -1, 31, 32, 1e10, 3.7],
    np.float32,
)


@st.composite
def trained(draw: st.DrawFn) -> tuple[lgb.Booster, np.ndarray]:
    """A small model of drawn shape, and rows with odd values among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows, n_features = draw(st.integers(30, 400)), draw(st.integers(1, 12))
    matrix = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    matrix[:, ::2] = np.round(matrix[:, ::2])
    matrix[rng.random(matrix.shape) < draw(st.sampled_from([0.0, 0.1, 0.6]))] = np.nan
    categories = draw(st.lists(st.integers(0, n_features - 1), unique=True, max_size=3))
    for column in categories:
        matrix[:, column] = rng.integers(-1, draw(st.sampled_from([3, 40, 200])), n_rows)
    margin = np.nan_to_num(matrix) @ rng.normal(size=n_features) + rng.normal(size=n_rows)
    parameters = {
        "objective": "binary",
        "num_leaves": draw(st.sampled_from([2, 4, 8, 31, 200])),
        "min_data_in_leaf": draw(st.sampled_from([1, 5, 1_000])),
        "min_data_per_group": 2, "cat_smooth": 1,
        "max_cat_to_onehot": draw(st.sampled_from([1, 4])),
        "zero_as_missing": draw(st.booleans()), "use_missing": draw(st.booleans()),
        "boost_from_average": draw(st.booleans()), "extra_trees": draw(st.booleans()),
        "learning_rate": 0.2, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    data = lgb.Dataset(matrix, margin > 0, categorical_feature=categories, params=parameters)
    booster = lgb.train(parameters, data, draw(st.integers(1, 12)))
    rows = matrix[:40].copy()
    rows[::3] = rng.choice(ODD, size=rows[::3].shape)
    return booster, rows


@given(trained())
@settings(max_examples=60)
def test_margins_have_the_bits_of_lightgbm(model: tuple[lgb.Booster, np.ndarray]) -> None:
    """Whatever is missing, tiny, endless or an unknown category, each margin is LightGBM's own."""
    booster, rows = model
    trees = trees_from_text(booster.model_to_string())
    expected = booster.predict(rows, raw_score=True)
    assert expected.tobytes() == trees.margins(rows).tobytes()
    assert expected.tobytes() == trees.margins(rows.astype(np.float64)).tobytes()
    assert expected.tobytes() == trees.explained(rows)[0].tobytes()


@given(trained())
@settings(max_examples=60)
def test_contributions_are_those_of_lightgbm(model: tuple[lgb.Booster, np.ndarray]) -> None:
    """Each cell is within 1e-9 of `pred_contrib`, and a row's cells add up to its margin."""
    booster, rows = model
    trees = trees_from_text(booster.model_to_string())
    expected = booster.predict(rows, pred_contrib=True)
    margins, found = trees.explained(rows)
    np.testing.assert_allclose(expected[:, :-1], found, rtol=0, atol=1e-9)
    np.testing.assert_allclose(expected[:, -1], trees.base, rtol=0, atol=1e-9)
    np.testing.assert_allclose(margins, found.sum(axis=1) + trees.base, rtol=0, atol=1e-11)


@given(trained(), st.integers(0, 39))
@settings(max_examples=30)
def test_a_row_has_the_same_bits_alone(model: tuple[lgb.Booster, np.ndarray], begin: int) -> None:
    """Alone, in a small batch and in one of several blocks, margins and contributions agree."""
    booster, rows = model
    trees = trees_from_text(booster.model_to_string())
    margins, together = trees.explained(np.tile(rows, (8, 1)))
    for size in (1, 2, 7):
        few = rows[begin : begin + size]
        alone = trees.explained(few)
        assert margins[begin : begin + len(few)].tobytes() == alone[0].tobytes()
        assert together[begin : begin + len(few)].tobytes() == alone[1].tobytes()


def fitted(
    n_leaves: int = 31, n_features: int = 6, **more: object
) -> tuple[lgb.Booster, np.ndarray]:
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(800, n_features)).astype(np.float32)
    matrix[::5, 1] = np.nan
    label = matrix[:, 0] + np.sin(3 * matrix[:, 2]) + rng.normal(size=800) > 0
    parameters = {"objective": "binary", "num_leaves": n_leaves, "min_data_in_leaf": 2,
                  "num_threads": 1, "verbosity": -1, **more}  # fmt: skip
    return lgb.train(parameters, lgb.Dataset(matrix, label), 12), matrix


@pytest.mark.parametrize(("n_leaves", "n_features"), [(2, 6), (31, 3), (300, 30)])
def test_contributions_are_those_of_shap(n_leaves: int, n_features: int) -> None:
    """Stumps, features that repeat on every path and deep trees: shap says the same."""
    import shap

    booster, rows = fitted(n_leaves, n_features)
    trees = trees_from_text(booster.model_to_string())
    expected = shap.TreeExplainer(booster).shap_values(rows[:60])
    np.testing.assert_allclose(expected, trees.explained(rows[:60])[1], rtol=0, atol=1e-9)


def test_the_text_is_kept_and_tells_models_apart() -> None:
    """Trees keep LightGBM's text as it was, and are equal where it is."""
    one, other = (fitted(n)[0].model_to_string() for n in (4, 5))
    assert one == trees_from_text(one).text
    assert trees_from_text(one) == trees_from_text(one)
    assert trees_from_text(one) != trees_from_text(other)
    assert [4] * 12 == trees_from_text(one).leaves.tolist()


@pytest.mark.parametrize(
    ("objective", "said"),
    [({"objective": "regression"}, "objective"), ({"boosting": "rf", "bagging_freq": 1,
      "bagging_fraction": 0.5}, "not that of"), ({"linear_tree": True}, "linear")],
)  # fmt: skip
def test_models_of_another_kind_are_refused(objective: dict[str, object], said: str) -> None:
    """Regressions, forests and linear leaves are named, not misread."""
    with pytest.raises(ValueError, match=said):
        trees_from_text(fitted(4, **objective)[0].model_to_string())


@pytest.mark.parametrize(
    "how",
    [{"boosting": "dart"}, {"data_sample_strategy": "goss"}, {"use_quantized_grad": True},
     {"monotone_constraints": [1, 0, 0, 0, 0, 0], "monotone_constraints_method": "advanced"},
     {"interaction_constraints": [[0, 1], [2, 3, 4, 5]]}, {"path_smooth": 5.0},
     {"is_unbalance": True}, {"scale_pos_weight": 3.0}, {"cegb_penalty_split": 0.001},
     {"pos_bagging_fraction": 0.5, "bagging_freq": 1}, {"max_depth": 3}],
    ids=str,
)  # fmt: skip
def test_no_way_of_fitting_a_binary_model_needs_a_fallback(how: dict[str, object]) -> None:
    """However LightGBM was told to fit log-odds, its text is read and explained as by itself."""
    booster, rows = fitted(15, **how)
    found = trees_from_text(booster.model_to_string()).explained(rows)[1]
    expected = booster.predict(rows, pred_contrib=True)[:, :-1]
    np.testing.assert_allclose(expected, found, rtol=0, atol=1e-9)


def test_linear_leaves_are_explained_by_nobody() -> None:
    """LightGBM refuses them as well, so there is nothing to fall back to."""
    booster, rows = fitted(4, linear_tree=True)
    with pytest.raises(lgb.basic.LightGBMError, match="not implemented for linear trees"):
        booster.predict(rows, pred_contrib=True)


@pytest.mark.parametrize(
    "kind", [{"objective": "regression"}, {"objective": "cross_entropy"}, {"sigmoid": 2.0},
             {"objective": "poisson"}], ids=str,
)  # fmt: skip
def test_what_is_refused_for_its_meaning_would_be_explained(kind: dict[str, object]) -> None:
    """The head alone stands against such a model: with that of a binary one it is explained as by
    LightGBM, so a fallback would explain nothing that is not explained here."""
    booster, rows = fitted(15, **kind)
    text = booster.model_to_string()
    with pytest.raises(ValueError, match="the trees say objective"):
        trees_from_text(text)
    found = trees_from_text(re.sub(r"(?m)^objective=.*$", "objective=binary sigmoid:1", text))
    expected = booster.predict(rows, pred_contrib=True)[:, :-1]
    np.testing.assert_allclose(expected, found.explained(rows)[1], rtol=0, atol=1e-9)


def changed(text: str, line: str, value: str) -> str:
    """The text with the first such line's first number replaced."""
    return re.sub(rf"^{line}=\S+", f"{line}={value}", text, count=1, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("line", "value"),
    [("left_child", "0"), ("left_child", "77"), ("right_child", "-99"), ("split_feature", "6"),
     ("split_feature", "-1"), ("threshold", "nan"), ("threshold", "x"), ("leaf_value", "inf"),
     ("leaf_count", "-3"), ("decision_type", "12"), ("decision_type", "1"), ("num_leaves", "9"),
     ("num_leaves", "x"), ("version", "v3"), ("max_feature_idx", "9"), ("num_cat", "2")],
)  # fmt: skip
def test_damaged_text_is_refused(line: str, value: str) -> None:
    """A number that makes no tree is found before anything follows it."""
    text = fitted(8)[0].model_to_string()
    with pytest.raises(ValueError):
        trees_from_text(changed(text, line, value))


def test_a_split_between_what_is_known_and_what_is_missing_is_read() -> None:
    """LightGBM writes the threshold of such a split as `inf`; a file with one is no broken file."""
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(400, 2)).astype(np.float32)
    rows[rng.random(400) < 0.5, 0] = np.nan
    label = np.isnan(rows[:, 0]) ^ (rng.random(400) < 0.1)
    parameters = {"objective": "binary", "num_leaves": 4, "num_threads": 1, "verbosity": -1}
    booster = lgb.train(parameters, lgb.Dataset(rows, label), 3)
    text = booster.model_to_string()
    assert re.search(r"^threshold=.*\binf\b", text, re.MULTILINE)
    check_numbers(text.encode())
    rows[0, 0], rows[1, 0] = np.inf, -np.inf
    margins = trees_from_text(text).margins(rows)
    assert booster.predict(rows, raw_score=True).tobytes() == margins.tobytes()


def test_text_that_is_cut_short_is_refused() -> None:
    """Every beginning of a text that lacks trees is refused."""
    text = fitted(4)[0].model_to_string()
    end = text.index("end of trees")
    for length in range(0, end, 97):
        with pytest.raises(ValueError):
            trees_from_text(text[:length])


def test_vectors_of_another_width_are_refused() -> None:
    """Rows with more or fewer features than the trees know are an error."""
    booster, rows = fitted(4)
    with pytest.raises(ValueError, match="6 features"):
        trees_from_text(booster.model_to_string()).margins(rows[:, :5])
