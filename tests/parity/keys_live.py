"""Every key of every configuration file against diffusers: dropped, null, and varied.

    PYTHONPATH=build/python python tests/parity/keys_live.py [--write] [--jobs N] [PART of a subject's name...]

Run by `./check --full`. A subject is one file of one fixture in tests/fixtures/pipelines. Its keys are those that the pinned
diffusers or transformers knows for the class, those in the file, and one that nobody knows. For each value of each key the
model is made by diffusers with drawn weights, saved beside the varied file, and run by both. What counts as right:

    honoured   both give the same latents or pictures
    refused    Reprise ends in one line that names the file and the key; or diffusers cannot run it and Reprise says so

Another result without a word, an error that names no key, and anything else than a usage error are faults: they are listed,
and the exit status is 1. What was seen is docs/diffusers-keys.md, which `--write` makes and every other run compares where it is there.
"""

import argparse
import concurrent.futures
import contextlib
import copy
import inspect
import io
import itertools
import json
import logging
import math
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
warnings.simplefilter("ignore")

import diffusers  # noqa: E402
import numpy  # noqa: E402
import reprise  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from models import randomize  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "pipelines"
DOCUMENT = ROOT / "docs" / "diffusers-keys.md"
PICTURE = ROOT / "tests" / "fixtures" / "io" / "base.png"
MOST_WEIGHTS = 4_000_000  # larger models are not made: what a key's default is, is seen from Reprise's own error
TOLERANCE = 1e-3
UNKNOWN_KEY = "a_key_that_nobody_knows"
PRIVATE = {"_class_name", "_diffusers_version", "_name_or_path", "transformers_version", "architectures"}


class Drop:
    """In place of a value: the key is not in the file."""

    def __repr__(self):
        return "dropped"


DROP = Drop()

# ---------------------------------------------------------------------------------------------- values


SPACINGS = ["linspace", "leading", "trailing", "karras"]
TRAINED = [0.001 * (i + 1) for i in range(40)]
ACTIVATIONS = ["silu", "swish", "mish", "gelu", "relu", "GELU", "leaky_relu"]
SCHEDULER_VALUES = {
    "num_train_timesteps": [500, 37, 1000.0, True],
    "beta_start": [0.001, 0, "0.001"],
    "beta_end": [0.03, 0],
    "beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2", "exp", "sigmoid", "laplace"],
    "trained_betas": [TRAINED, [0.01] * 1000, "linear", []],
    "prediction_type": ["epsilon", "sample", "original_sample", "v_prediction", "flow_prediction", "trajectory", "x"],
    "interpolation_type": ["linear", "log_linear", "cubic"],
    "timestep_spacing": SPACINGS,
    "timestep_type": ["discrete", "continuous", "other"],
    "steps_offset": [0, 1, 3, -1, 0.5],
    "sigma_min": [0.05, 0, "a"],
    "sigma_max": [12.0, 0],
    "final_sigmas_type": ["zero", "sigma_min", "other"],
    "algorithm_type": ["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++", "deis", "unipc"],
    "solver_type": ["midpoint", "heun", "logrho", "bh1", "bh2", "other"],
    "solver_order": [1, 2, 3, 4, 0],
    "variance_type": ["fixed_small", "fixed_large", "learned", "learned_range", 3],
    "lambda_min_clipped": [-5.1, 0, 100.0],
    "dynamic_thresholding_ratio": [0.5, 1.0, 1.5, -0.1],
    "sample_max_value": [1.6, 0.5, 0],
    "clip_sample_range": [0.7, 0, -1],
    "flow_shift": [3.0],
    "shift": [1.0, 2.5, 0],
    "shift_terminal": [0.1, 0, 1.0],
    "time_shift_type": ["exponential", "linear", "other"],
    "base_shift": [0.7],
    "max_shift": [2.0],
    "base_image_seq_len": [128],
    "max_image_seq_len": [2048],
    "_use_default_values": [["beta_start"], ["prediction_type", "steps_offset"]],
}
UNET_VALUES = {
    "sample_size": [4, [4, 8], 16, 0, "8"],
    "in_channels": [4, 5, 9],
    "out_channels": [4, 8],
    "down_block_types": [
        "DownBlock2D",
        "SimpleCrossAttnDownBlock2D",
        "ResnetDownsampleBlock2D",
        "AttnDownBlock2D",
        "SkipDownBlock2D",
        "DownEncoderBlock2D",
        "KDownBlock2D",
        "KCrossAttnDownBlock2D",
        "UNetResDownBlock2D",
        "UNetResCrossAttnDownBlock2D",
    ],
    "up_block_types": [
        "UpBlock2D",
        "SimpleCrossAttnUpBlock2D",
        "ResnetUpsampleBlock2D",
        "AttnUpBlock2D",
        "SkipUpBlock2D",
        "KUpBlock2D",
        "UNetResCrossAttnUpBlock2D",
    ],
    "mid_block_type": ["UNetMidBlock2DCrossAttn", "UNetMidBlock2D", "UNetMidBlock2DSimpleCrossAttn", "Other"],
    "only_cross_attention": [True, False, "per_block", "mixed"],
    "mid_block_only_cross_attention": [True, False],
    "block_out_channels": ["double", "short"],
    "layers_per_block": [2, "per_block", 0],
    "downsample_padding": [0, 1, 2],
    "mid_block_scale_factor": [1.5, 0, -1],
    "dropout": [0.5],
    "act_fn": ACTIVATIONS,
    "norm_num_groups": [1, 2, 4, 3],
    "norm_eps": [1e-3, 0, 1e-6],
    "cross_attention_dim": ["same_list", 8, "other_list"],
    "transformer_layers_per_block": [2, "per_block", "nested", 0, "per_block_tuple"],
    "reverse_transformer_layers_per_block": [1, "per_block", "nested_up"],
    "encoder_hid_dim": [24, 16, 8],
    "encoder_hid_dim_type": ["text_proj", "text_image_proj", "image_proj", "ip_image_proj", "other"],
    "attention_head_dim": [1, 2, 4, "per_block", 3, "bad_list"],
    "num_attention_heads": [2, 4, "per_block"],
    "dual_cross_attention": [True, False],
    "use_linear_projection": [True, False],
    "class_embed_type": ["timestep", "identity", "projection", "simple_projection", "other"],
    "addition_embed_type": ["text", "text_image", "text_time", "image", "image_hint", "other"],
    "addition_time_embed_dim": [8, 4],
    "num_class_embeds": [10],
    "upcast_attention": [True, False],
    "resnet_time_scale_shift": ["default", "scale_shift", "ada_group", "spatial", "other"],
    "resnet_skip_time_act": [True, False],
    "resnet_out_scale_factor": [2.0],
    "time_embedding_type": ["positional", "fourier", "other"],
    "time_embedding_dim": [16, 24],
    "time_embedding_act_fn": ACTIVATIONS,
    "timestep_post_act": ACTIVATIONS,
    "time_cond_proj_dim": [8],
    "conv_in_kernel": [1, 3, 5, 2],
    "conv_out_kernel": [1, 3, 5, 2],
    "projection_class_embeddings_input_dim": [64, 50, 8],
    "attention_type": ["default", "gated", "gated-text-image"],
    "class_embeddings_concat": [True, False],
    "cross_attention_norm": [True, False, "layer_norm", "group_norm", "other"],
    "addition_embed_type_num_heads": [4, 8],
    "center_input_sample": [True, False],
    "flip_sin_to_cos": [True, False],
    "freq_shift": [1, 0, 0.5],
}
SVD_UNET_VALUES = {
    "sample_size": [8, [8, 16]],
    "down_block_types": ["DownBlockSpatioTemporal", "DownBlock2D"],
    "up_block_types": ["UpBlockSpatioTemporal", "UpBlock2D"],
    "block_out_channels": ["double", "short"],
    "in_channels": [8, 9],
    "out_channels": [4, 8],
    "addition_time_embed_dim": [8, 4],
    "projection_class_embeddings_input_dim": [24, 12],
    "layers_per_block": [2, "per_block"],
    "cross_attention_dim": ["same_list", 8],
    "transformer_layers_per_block": [2, "per_block"],
    "num_attention_heads": [2, "per_block"],
    "num_frames": [2, 4],
}
PIXART_VALUES = {
    "sample_size": [8, 16, 64, 128, [8, 8]],
    "patch_size": [1, 2, 4, 3],
    "num_attention_heads": [2, 4],
    "attention_head_dim": [4, 8],
    "in_channels": [4, 5],
    "out_channels": [4, 8, 12],
    "num_layers": [1, 3],
    "dropout": [0.5],
    "norm_num_groups": [4],
    "cross_attention_dim": [16, 12, 24],
    "attention_bias": [True, False],
    "activation_fn": ["gelu-approximate", "gelu", "geglu", "geglu-approximate", "swiglu", "linear-silu", "relu"],
    "num_embeds_ada_norm": [1000, 10],
    "upcast_attention": [True, False],
    "norm_type": ["ada_norm_single", "layer_norm", "ada_norm", "ada_norm_zero", "other"],
    "norm_elementwise_affine": [True, False],
    "norm_eps": [1e-3, 0],
    "interpolation_scale": [1, 2, 0.5],
    "use_additional_conditions": [True, False],
    "caption_channels": [12, 16],
    "attention_type": ["default", "gated"],
}
SD3_VALUES = {
    "sample_size": [8, 4],
    "patch_size": [1, 2, 4],
    "in_channels": [16, 8],
    "num_layers": [1, 2],
    "attention_head_dim": [4, 8],
    "num_attention_heads": [4, 2],
    "joint_attention_dim": [20, 24],
    "caption_projection_dim": [16, 8],
    "pooled_projection_dim": [20, 24],
    "out_channels": [16, 8],
    "pos_embed_max_size": [6, 8, 4],
    "dual_attention_layers": [[], [0], [0, 1, 7], 1],
    "qk_norm": ["rms_norm", "layer_norm", "fp32_layer_norm", "layer_norm_across_heads", "other"],
}
VAE_VALUES = {
    "in_channels": [3, 1],
    "out_channels": [3, 1],
    "down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D", "DownBlock2D"],
    "up_block_types": ["UpDecoderBlock2D", "AttnUpDecoderBlock2D", "UpBlock2D"],
    "block_out_channels": ["double", "short"],
    "layers_per_block": [2, 1],
    "act_fn": ACTIVATIONS,
    "latent_channels": [4, 8],
    "norm_num_groups": [1, 2, 3],
    "sample_size": [32, [32, 32], 64],
    "scaling_factor": [0.5, -0.5, 0],
    "shift_factor": [0.5, 0],
    "latents_mean": ["channels", [0.1]],
    "latents_std": ["channels", [0.1]],
    "force_upcast": [True, False],
    "use_quant_conv": [True, False],
    "use_post_quant_conv": [True, False],
    "mid_block_add_attention": [True, False],
}
CLIP_VALUES = {
    "vocab_size": [2000, 1034, 500],
    "hidden_size": [16, 8, 32],
    "intermediate_size": [24],
    "projection_dim": [8, 16, 12],
    "num_hidden_layers": [1, 3],
    "num_attention_heads": [1, 4, 3],
    "max_position_embeddings": [77, 90, 40],
    "hidden_act": [
        "quick_gelu",
        "gelu",
        "gelu_new",
        "gelu_pytorch_tanh",
        "gelu_fast",
        "silu",
        "swish",
        "relu",
        "relu2",
        "mish",
        "tanh",
        "gelu_10",
        "linear",
        "sigmoid",
        "other",
    ],
    "layer_norm_eps": [1e-3, 0.0],
    "attention_dropout": [0.5],
    "initializer_range": [0.5],
    "initializer_factor": [0.5],
    "pad_token_id": [3, 0],
    "bos_token_id": [3],
    "eos_token_id": [2, 320, 1033, [1033], 5],
    "use_attention_mask": [True, False],
    "num_channels": [3, 1],
    "image_size": [32, 224],
    "patch_size": [8, 32, [16, 16]],
    "text_config": [{}, {"hidden_size": 8}],
    "vision_config": [{}, {"hidden_size": 8}],
    "model_type": ["clip", "t5", "other"],
}
T5_VALUES = {
    "vocab_size": [600, 100],
    "d_model": [12, 16],
    "d_kv": [6, 4],
    "d_ff": [16],
    "num_layers": [1, 3],
    "num_heads": [2, 3],
    "relative_attention_num_buckets": [8, 16, 2],
    "relative_attention_max_distance": [16, 64, 4],
    "layer_norm_epsilon": [1e-2, 0.0],
    "feed_forward_proj": [
        "relu",
        "gated-gelu",
        "gelu",
        "gated-silu",
        "gated-relu",
        "gated-gelu_new",
        "silu",
        "other",
        "a-b",
    ],
    "dense_act_fn": ["relu", "gelu", "gelu_new", "silu", "other"],
    "is_gated_act": [True, False],
    "is_decoder": [True, False],
    "is_encoder_decoder": [True, False],
    "tie_word_embeddings": [True, False],
    "scale_decoder_outputs": [True, False],
    "num_decoder_layers": [3],
    "hidden_size": [16],
    "num_attention_heads": [2],
    "num_hidden_layers": [1],
    "head_dim": [4],
    "dropout_rate": [0.5],
    "pad_token_id": [3],
    "eos_token_id": [3],
    "model_type": ["umt5", "other"],
    "use_attention_mask": [True],
}
GENERIC_VALUES = {
    "output_hidden_states": [True], "output_attentions": [True], "return_dict": [False, True], "torchscript": [True],
    "chunk_size_feed_forward": [4], "dtype": ["bfloat16"], "torch_dtype": ["bfloat16"],
    "id2label": [{"0": "a"}], "label2id": [{"a": 0}], "problem_type": ["regression"], "is_encoder_decoder": [True, False],
    "use_cache": [True, False], "attn_implementation": ["eager"], "_attn_implementation": ["eager"], "quantization_config": [{}],
}  # fmt: skip
TOKEN = {
    "__type": "AddedToken",
    "content": "<|endoftext|>",
    "lstrip": False,
    "normalized": True,
    "rstrip": False,
    "single_word": False,
}
TOKENIZER_VALUES = {
    "model_max_length": [77, 40, 5, 100, 1e30, 3.5, -1],
    "max_len": [40],
    "pad_token": ["!", "<|endoftext|>", "<|startoftext|>", "not there", {**TOKEN, "content": "!"}],
    "unk_token": ["!", {**TOKEN}],
    "bos_token": ["<|endoftext|>", "!", {**TOKEN, "content": "<|startoftext|>"}],
    "eos_token": ["!", "<|startoftext|>", {**TOKEN, "lstrip": True, "rstrip": True}],
    "padding_side": ["left", "right", "other"],
    "truncation_side": ["left", "right"],
    "do_lower_case": [True, False],
    "add_prefix_space": [True, False],
    "errors": ["replace", "strict", "ignore"],
    "tokenizer_class": ["CLIPTokenizer", "CLIPTokenizerFast", "BertTokenizer"],
    "additional_special_tokens": [["red"], [], ["<new>"]],
    "extra_special_tokens": [["red"], {"image_token": "red"}, []],
    "added_tokens_decoder": [{"5": {**TOKEN, "content": "red", "special": True}}, {"1033": {**TOKEN, "special": True}}, {}],
    "clean_up_tokenization_spaces": [True, False],
    "split_special_tokens": [True, False],
    "name_or_path": ["x"], "special_tokens_map_file": ["x"], "model_input_names": [["input_ids"]], "use_fast": [False],
    "add_bos_token": [False, True], "add_eos_token": [False, True], "strip_accents": [True, False], "backend": ["other"],
    "is_local": [False], "local_files_only": [True], "max_length": [40], "stride": [3], "truncation_strategy": ["longest_first"],
    "return_attention_mask": [False],
}  # fmt: skip
T5_TOKEN = {
    "__type": "AddedToken",
    "content": "</s>",
    "lstrip": False,
    "normalized": False,
    "rstrip": False,
    "single_word": False,
    "special": True,
}
T5_TOKENIZER_VALUES = TOKENIZER_VALUES | {
    "pad_token": ["<unk>", "</s>", "not there"],
    "unk_token": ["</s>"],
    "eos_token": ["<unk>", {**T5_TOKEN, "lstrip": True}],
    "bos_token": ["<pad>"],
    "tokenizer_class": ["T5Tokenizer", "T5TokenizerFast"],
    "extra_ids": [100, 10, 0],
    "legacy": [True, False],
    "sp_model_kwargs": [{}, {"enable_sampling": True}],
    "additional_special_tokens": [["red"], []],
    "added_tokens_decoder": [{}, {"1": T5_TOKEN}],
    "model_max_length": [512, 10],
}
FEATURE_VALUES = {
    "image_mean": [[0.1, 0.2, 0.3], [0.5], 0.5], "image_std": [[0.5, 0.5, 0.4], [0, 0, 0], 0.5],
    "do_normalize": [False, True], "do_rescale": [False], "do_resize": [False], "do_center_crop": [False], "do_convert_rgb": [False],
    "crop_size": [{"height": 64, "width": 64}, 64], "size": [{"shortest_edge": 64}, 64], "resample": [2], "rescale_factor": [0.5],
    "image_processor_type": ["CLIPImageProcessor", "Other"], "feature_extractor_type": ["CLIPFeatureExtractor"],
}  # fmt: skip
INDEX_VALUES = {
    "force_zeros_for_empty_prompt": [True, False, "yes"],
    "requires_safety_checker": [True, False],
    "safety_checker": [[None, None]],
    "feature_extractor": [[None, None]],
    "image_encoder": [[None, None]],
    "add_watermarker": [True, False],
}


def shaped(name, key, base):
    """The lists that a name in the tables above stands for, by the length of the file's own lists."""
    if name == "Down" or not isinstance(name, str):
        return name
    count = len(base.get("block_out_channels", [0] * 4))
    channels = base.get("latent_channels", 4)
    lists = {
        "double": [2 * c for c in base.get("block_out_channels", [])],
        "short": base.get("block_out_channels", [])[:-1],
        "mixed": [i % 2 == 0 for i in range(count)],
        "same_list": [base.get("cross_attention_dim")] * count,
        "other_list": [base.get("cross_attention_dim")] * (count - 1) + [4],
        "nested": [[1, 2]] * count,
        "nested_up": [[1, 2, 1]] * count,
        "per_block_tuple": [[1 + i % 2] * base.get("layers_per_block", 1) for i in range(count)] if isinstance(base.get("layers_per_block", 1), int) else [],
        "channels": [0.5 + 0.1 * i for i in range(channels)],
        "bad_list": [2] * (count + 1),
    }  # fmt: skip
    if name == "per_block":
        if key == "only_cross_attention":
            return [True] * count
        return [2 if i % 2 else 1 for i in range(count)]
    if key.endswith("block_types") and name.startswith(("Down", "Up", "Attn", "Simple", "Resnet", "Skip", "K", "UNetRes")):
        types = list(base[key])
        plain = [
            i for i, kind in enumerate(types) if ("CrossAttn" in kind) == ("Cross" in name or name.startswith("Simple"))
        ]
        types[plain[0] if plain else 0] = name
        return types
    return lists.get(name, name)


def variants(key, table, base, default):
    """What a key is set to: dropped, null, what the table says or what its type suggests, and a wrong type."""
    current = base.get(key, default)
    values = [DROP, None] if key in base else [None]
    if key in table:
        values += [shaped(value, key, base) for value in table[key]]
    elif isinstance(current, bool):
        values += [True, False]
    elif isinstance(current, (int, float)):
        values += [current * 2, current + 1]
    if isinstance(current, (bool, int, float)) and key not in ("model_max_length",):
        values.append("a")
    elif isinstance(current, str):
        values.append(3)
    seen = []
    for value in values:
        same = [type(value) is type(other) and value == other for other in seen]
        if not any(same) and not (key in base and type(value) is type(base[key]) and value == base[key]):
            seen.append(value)
    return seen


# Where Reprise does something else than diffusers, and why that is right: (part of a subject's name, key).
ACCEPTED = {
    (
        "EulerAncestral",
        "beta_schedule",
    ): "with squaredcos_cap_v2 diffusers takes the root of a rounding error below 0 and draws nothing.",
    (
        "tiny-sd35/scheduler",
        "stochastic_sampling",
    ): "diffusers' pipeline draws this noise from PyTorch's global generator, Reprise from the call's seed.",
    (
        "tokenizer",
        "model_max_length",
    ): "where it is missing or larger than any text diffusers cannot pad, Reprise takes CLIP's 77.",
    (
        "tokenizer",
        "model_input_names",
    ): "without the attention mask among them diffusers' PixArt fails, Reprise makes the mask in any case.",
    (
        "tiny-sdxl/unet",
        "sample_size",
    ): "StableDiffusionXLPipeline cannot do with a list, Reprise draws that height and width.",
}

# ---------------------------------------------------------------------------------------------- both sides


class Unusable(Exception):
    """diffusers cannot make or run it."""


class TooLarge(Exception):
    """diffusers would make a model too large for a test."""


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        if record.levelno >= logging.WARNING:
            self.lines.append(record.getMessage())


WARNINGS = Warnings()


def quiet():
    torch.set_num_threads(1)
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    numpy.seterr(all="ignore")
    logger = logging.getLogger("reprise")
    logger.handlers, logger.propagate = [WARNINGS], False


@contextlib.contextmanager
def silence():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def write_json(path, value):
    path.write_text(json.dumps(value))


def opened(folder):
    """diffusers' pipeline of a folder, whose index may have null for parts."""
    index = json.loads((folder / "model_index.json").read_text())
    absent = {
        name: None for name, kind in index.items() if kind == [None, None] and name.startswith(("text_encoder", "tokenizer"))
    }
    return diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, **absent)


class Subject:
    """One file of a fixture's copy, with the rest of the folder as it is."""

    prompts = ("red apple",)
    steps = 2
    guidance = 1.0
    picture = False

    def __init__(self, fixture, component, file="config.json", base=None, name=None):
        self.fixture, self.component, self.file = fixture, component, file
        self.name = name or f"{fixture}/{component}"
        self.changes = base or {}
        self.embeddings = {}  # in place of prompts
        # Further arguments of a call. No aspect-ratio bins are known for tiny-pixart's size.
        self.extra = {"use_resolution_binning": False, "clean_caption": False} if fixture.startswith("tiny-pixart") else {}
        if fixture == "tiny-pixart-ms":
            self.extra |= {"height": 256, "width": 256}  # its own size takes long

    def open(self, work):
        self.folder = Path(work) / self.fixture
        shutil.copytree(FIXTURES / self.fixture, self.folder, copy_function=shutil.copyfile)
        with silence():
            self.pipe = opened(self.folder)
        self.pipe.set_progress_bar_config(disable=True)
        self.path = self.folder / self.component / self.file
        self.base = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.base |= self.changes
        self.prepare()

    def prepare(self):
        pass

    def keys(self):
        return [*sorted((set(self.base) | set(self.defaults()) | set(self.more_keys())) - PRIVATE), UNKNOWN_KEY]

    def more_keys(self):
        return []

    def defaults(self):
        return {}

    def cases(self):
        for key in self.keys():
            for value in variants(key, self.table, self.base, self.defaults().get(key)):
                if key == UNKNOWN_KEY and value is not None and value is not DROP:
                    continue
                if key == UNKNOWN_KEY and isinstance(self, File):  # these take any
                    continue
                yield key, value

    def varied(self, key, value):
        config = copy.deepcopy(self.base)
        config.pop(key, None)
        if value is not DROP:
            config[key] = value
        return config

    # theirs

    def theirs(self, config):
        """What diffusers makes with the varied file; writes what Reprise reads."""
        write_json(self.path, config)
        try:
            with silence():
                pipe = self.their_pipe(config)
                pipe.set_progress_bar_config(disable=True)
                result = self.call_theirs(pipe)
        except (TooLarge, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise Unusable(f"{type(error).__name__}: {error}") from error
        if not torch.isfinite(result).all():
            raise Unusable("the result is not finite")
        return result

    def with_part(self, part):
        parts = {
            name: copy.deepcopy(value) if name == "scheduler" else value for name, value in self.pipe.components.items()
        }
        parts[self.component] = part
        options = (
            {"force_zeros_for_empty_prompt": self.pipe.config["force_zeros_for_empty_prompt"]}
            if "force_zeros_for_empty_prompt" in self.pipe.config
            else {}
        )
        if "requires_safety_checker" in self.pipe.config:
            options["requires_safety_checker"] = False
        return type(self.pipe)(
            **{name: part for name, part in parts.items() if name in inspect.signature(type(self.pipe).__init__).parameters},
            **options,
        )

    def call_theirs(self, pipe):
        generator = torch.Generator().manual_seed(42)
        video = isinstance(pipe, diffusers.StableVideoDiffusionPipeline)
        options = {"num_inference_steps": self.steps, "output_type": "np" if self.picture else "latent", **self.extra}
        if video:
            options |= {"image": Image.open(PICTURE).convert("RGB"), "height": 32, "width": 32}
            options["generator"] = generator
        else:
            prompts = list(self.prompts) if len(self.prompts) > 1 else self.prompts[0]
            options |= {"guidance_scale": self.guidance, "generator": generator}
            options |= self.embeddings or {"prompt": prompts}
        with torch.no_grad():
            made = pipe(**options)
        return torch.as_tensor(numpy.asarray(made.frames if video else made.images)).double()

    # ours

    def ours(self):
        WARNINGS.lines = []
        pipe = reprise.Pipeline.from_pretrained(self.folder, backend="reference", precision="f32", vae_precision="f32", threads=1,
                                                text_encoders=not self.embeddings)  # fmt: skip
        pipe.set_progress_bar_config(disable=True)
        options = {"num_inference_steps": self.steps, "decode": self.picture}
        if "image" in pipe.class_name.lower() or "Video" in pipe.class_name:
            options |= {"image": Image.open(PICTURE).convert("RGB"), "height": 32, "width": 32}
        else:
            prompts = list(self.prompts) if len(self.prompts) > 1 else self.prompts[0]
            options |= {"guidance_scale": self.guidance}
            options |= {name: value.numpy() for name, value in self.embeddings.items()} or {"prompt": prompts}
        made = pipe(**options, **self.extra, seed=42)
        if not self.picture:
            return torch.from_numpy(made.latents.copy()).double()
        arrays = numpy.stack(made.arrays).astype(numpy.float64) / 255
        return torch.from_numpy(arrays)

    def difference(self, ours, theirs):
        if self.picture:
            theirs = theirs.reshape(ours.shape) if theirs.numel() == ours.numel() else theirs
            if ours.shape != theirs.shape:
                return math.inf
            # Within a rounding of 8 bits everywhere.
            return max(0.0, float((ours - theirs).abs().max()) - 0.51 / 255)
        if ours.shape != theirs.shape:
            return math.inf
        return float((ours - theirs).norm() / theirs.norm().clamp(min=1e-12))


class Scheduler(Subject):
    steps = 4
    table = SCHEDULER_VALUES

    def __init__(self, kind, fixture="tiny-sdxl", base=None, name=None, steps=None, brief=False):
        super().__init__(fixture, "scheduler", "scheduler_config.json", name=name or f"{fixture}/scheduler {kind}")
        self.kind, self.values, self.brief = kind, base or {}, brief
        if steps:
            self.steps = steps

    def prepare(self):
        common = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
        self.base = {"_class_name": self.kind, **({} if "Flow" in self.kind else common), **self.values}
        with torch.no_grad():
            made = self.pipe.encode_prompt(
                *self.prompts, *([self.prompts[0]] * 2 if "sd3" in self.fixture else []), do_classifier_free_guidance=False
            )
        self.embeddings = {"prompt_embeds": made[0], "pooled_prompt_embeds": made[2]}
        index = self.folder / "model_index.json"
        write_json(index, json.loads(index.read_text()) | {"scheduler": ["diffusers", self.kind]})

    def defaults(self):
        parameters = inspect.signature(getattr(diffusers, self.kind).__init__).parameters
        return {name: p.default for name, p in parameters.items() if name not in ("self", "kwargs")}

    def more_keys(self):
        """Those of other scheduler classes of diffusers that Reprise's own classes have, too."""
        return [] if self.brief else {"_use_default_values", *SCHEDULER_VALUES}

    def foreign(self):
        """Those of all other scheduler classes, which mean nothing to any of these."""
        keys = set()
        for name in dir(diffusers):
            if name.endswith("Scheduler"):
                with contextlib.suppress(Exception):
                    keys |= set(inspect.signature(getattr(diffusers, name).__init__).parameters)
        return keys - {"self", "args", "kwargs"} - set(self.keys())

    def cases(self):
        own = self.defaults()
        for key, value in super().cases():
            if not self.brief or key in own or key in self.base:
                yield key, value

    def their_pipe(self, config):
        return self.with_part(getattr(diffusers, self.kind).from_pretrained(self.folder / "scheduler"))


class Model(Subject):
    """A diffusers model: made of the varied file, with weights drawn."""

    seed = 7

    def __init__(self, fixture, component, table, picture=False, **options):
        super().__init__(fixture, component, **options)
        self.table, self.picture = table, picture

    def prepare(self):
        self.kind = getattr(diffusers, self.base["_class_name"])

    def defaults(self):
        parameters = inspect.signature(self.kind.__init__).parameters
        return {name: p.default for name, p in parameters.items() if name != "self"}

    def their_model(self, config):
        with torch.device("meta"):
            size = sum(p.numel() for p in self.kind.from_config(config).parameters())
        if size > MOST_WEIGHTS:
            raise TooLarge
        model = self.kind.from_config(config)
        randomize(model, self.seed, torch.float32)
        path = self.folder / self.component / "diffusion_pytorch_model.safetensors"
        path.unlink(missing_ok=True)
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
        return model

    def their_pipe(self, config):
        return self.with_part(self.their_model(config))


class Encoder(Model):
    """A transformers model."""

    prompts = (
        "red apple",
        "",
        "A big  RED apple, of the best sort; a photograph with the light from behind and a long, long shadow!!!",
    )

    def prepare(self):
        index = json.loads((self.folder / "model_index.json").read_text())
        self.kind = getattr(transformers, index[self.component][1])

    def defaults(self):
        return self.kind.config_class().to_dict()

    def more_keys(self):
        more = {"use_attention_mask", "torch_dtype", "torchscript", "text_config", "vision_config", "quantization_config"}
        if "T5" in self.kind.__name__:
            more |= {"hidden_size", "num_attention_heads", "num_hidden_layers", "head_dim"}
            more -= {"text_config", "vision_config"}
        return more

    def their_model(self, config):
        made = self.kind.config_class.from_pretrained(self.folder / self.component)
        with torch.device("meta"):
            size = sum(p.numel() for p in self.kind(copy.deepcopy(made)).parameters())
        if size > MOST_WEIGHTS:
            raise TooLarge
        model = self.kind(made).float()
        randomize(model, self.seed, torch.float32)
        for path in (self.folder / self.component).glob("*.safetensors"):
            path.unlink()
        model.save_pretrained(self.folder / self.component)
        write_json(self.path, config)
        return model


class File(Subject):
    """A file of which nothing but values depends: a tokenizer's, a preprocessor's, the index."""

    prompts = ("red apple", "", "A big  RED <|endoftext|> apple! café </s> <new> 12", "red " * 90)

    def __init__(self, fixture, component, file, table, **options):
        super().__init__(fixture, component, file, **options)
        self.table = table

    def defaults(self):
        return dict.fromkeys(self.table)

    def their_pipe(self, config):
        index = json.loads((self.folder / "model_index.json").read_text())
        kind = index[self.component][1]
        return self.with_part(getattr(transformers, kind).from_pretrained(self.folder / self.component))


class Features(File):
    prompts = ("-",)


class Index(File):
    prompts = ("red apple", "")
    guidance = 5.0

    def __init__(self, fixture):
        super().__init__(fixture, ".", "model_index.json", INDEX_VALUES, name=f"{fixture}/model_index.json")

    def keys(self):
        parts = {key for key, value in self.base.items() if isinstance(value, list)}
        every = super().keys()
        return [key for key in every if key not in parts or key in self.table]

    def their_pipe(self, config):
        return opened(self.folder)


KARRAS = {"use_karras_sigmas": True}
THRESHOLD = {"thresholding": True, "sample_max_value": 1.6, "dynamic_thresholding_ratio": 0.8}
SUBJECTS = [
    Scheduler("EulerDiscreteScheduler"),
    Scheduler("EulerDiscreteScheduler", base=KARRAS | {"sigma_min": 0.05}, name="tiny-sdxl/scheduler Euler, Karras"),
    Scheduler("EulerDiscreteScheduler", base={"prediction_type": "v_prediction", "timestep_type": "continuous", "timestep_spacing": "leading"},
              name="tiny-sdxl/scheduler Euler, continuous", brief=True),
    Scheduler("EulerAncestralDiscreteScheduler"),
    Scheduler("HeunDiscreteScheduler"),
    Scheduler("HeunDiscreteScheduler", base={"use_exponential_sigmas": True}, name="tiny-sdxl/scheduler Heun, exponential"),
    Scheduler("DDIMScheduler"),
    Scheduler("DDIMScheduler", base=THRESHOLD, name="tiny-sdxl/scheduler DDIM, thresholding", brief=True),
    Scheduler("DPMSolverMultistepScheduler"),
    Scheduler("DPMSolverMultistepScheduler", base=KARRAS | THRESHOLD, name="tiny-sdxl/scheduler DPM, Karras"),
    Scheduler("DPMSolverMultistepScheduler", base={"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "solver_order": 3},
              name="tiny-sdxl/scheduler DPM, dpmsolver", steps=16, brief=True),
    Scheduler("PNDMScheduler", base={"skip_prk_steps": True}),
    Scheduler("FlowMatchEulerDiscreteScheduler", "tiny-sd35", base={"shift": 3.0}),
    Scheduler("FlowMatchEulerDiscreteScheduler", "tiny-sd35", base={"shift": 3.0, **KARRAS}, name="tiny-sd35/scheduler Flow, Karras"),
    Model("tiny-sd", "unet", UNET_VALUES),
    Model("tiny-sdxl", "unet", UNET_VALUES),
    Model("tiny-pixart", "transformer", PIXART_VALUES),
    Model("tiny-pixart-ms", "transformer", PIXART_VALUES),
    Model("tiny-sd35", "transformer", SD3_VALUES),
    Model("tiny-svd", "unet", SVD_UNET_VALUES),
    Model("tiny-sdxl", "vae", VAE_VALUES, picture=True),
    Model("tiny-sd", "vae", VAE_VALUES, picture=True),
    Model("tiny-sd35", "vae", VAE_VALUES, picture=True),
    Model("tiny-svd", "vae", VAE_VALUES, picture=True),
    Encoder("tiny-sd", "text_encoder", CLIP_VALUES | GENERIC_VALUES),
    Encoder("tiny-sdxl", "text_encoder_2", CLIP_VALUES | GENERIC_VALUES),
    Encoder("tiny-svd", "image_encoder", CLIP_VALUES | GENERIC_VALUES),
    Encoder("tiny-pixart", "text_encoder", GENERIC_VALUES | T5_VALUES),
    File("tiny-sd", "tokenizer", "tokenizer_config.json", TOKENIZER_VALUES),
    File("tiny-sdxl", "tokenizer_2", "tokenizer_config.json", TOKENIZER_VALUES),
    File("tiny-sdxl", "tokenizer", "special_tokens_map.json", TOKENIZER_VALUES, name="tiny-sdxl/tokenizer/special_tokens_map.json"),
    File("tiny-pixart-sigma", "tokenizer", "tokenizer_config.json", T5_TOKENIZER_VALUES),
    Features("tiny-svd", "feature_extractor", "preprocessor_config.json", FEATURE_VALUES),
    Index("tiny-sd"), Index("tiny-sdxl"), Index("tiny-sd35"),
]  # fmt: skip


# ---------------------------------------------------------------------------------------------- judging


def shown(value):
    text = repr(value) if value is DROP else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def attempt(subject):
    """(result, error, a fault of the error itself)."""
    try:
        return subject.ours(), "", ""
    except ValueError as error:
        text = str(error)
        return None, text, "an error of several lines" if "\n" in text.strip() else ""
    except Exception as error:
        return None, str(error), f"{type(error).__name__} in place of a usage error"


def judge(subject, key, value):
    """(what became of it, the fault or nothing)."""
    config = subject.varied(key, value)
    try:
        theirs, refusal = subject.theirs(config), ""
    except Unusable as error:
        theirs, refusal = None, " ".join(str(error).split())[:160]
    except TooLarge:
        return judge_default(subject, key, value)
    ours, error, fault = attempt(subject)
    warned = list(WARNINGS.lines)
    if fault:
        return "fault", f"{fault}: {error[:200]}"
    if ours is None:
        names = key in error and subject.file in error
        if theirs is not None and not names:
            return "fault", f"the error does not name {subject.file} and the key: {error[:200]}"
        return "refused", ""
    named = any(key in line for line in warned)
    if theirs is None:
        if named:
            return "warned", ""
        fault = f"diffusers cannot run it ({refusal}), Reprise says nothing"
        return ("as it is" if subject.difference(ours, subject.plain) == subject.at_rest else "fault"), fault
    difference = subject.difference(ours, theirs)
    if not difference < TOLERANCE:
        return "fault", f"another result: {difference:.1e}" + (" (warned)" if named else "")
    if key == UNKNOWN_KEY and value is not DROP:
        return ("unknown", "") if named else ("fault", "no warning of an unknown key")
    moved = (
        subject.difference(theirs, subject.plain) > 1e-7
        if not subject.picture
        else subject.difference(theirs, subject.plain) > 0
    )
    if named and (moved or key in subject.defaults()):
        return "fault", f"a warning of no effect where there is none: {next(line for line in warned if key in line)[:160]}"
    return ("honoured" if moved else "nothing"), ""


def judge_default(subject, key, value):
    """A model that is too large to make: a dropped key is read as its default is, written down."""
    if value is not DROP:
        return "large", ""
    _, dropped, fault = attempt(subject)
    write_json(subject.path, subject.base | {key: subject.defaults()[key]})
    _, written, _ = attempt(subject)
    if fault or not dropped:
        return "fault", fault or "Reprise runs what diffusers makes larger"
    default = shown(subject.defaults()[key])
    if dropped.replace("missing", "").replace(default, "") != written.replace(default, ""):
        return "fault", f"dropped: {dropped[:120]}; default: {written[:120]}"
    return "large", ""


def run(index):
    quiet()
    subject = SUBJECTS[index]
    try:
        return observe(subject)
    except Exception as error:
        return subject.name, [f"{subject.name}: {type(error).__name__}: {error}"], {}, 1


def observe(subject):
    """Name, faults, what was seen of each key, number of runs."""
    lines, seen = [], defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="reprise-keys-") as work:
        os.environ["XDG_CACHE_HOME"] = f"{work}/cache"
        subject.open(work)
        subject.plain = subject.theirs(subject.base)
        subject.at_rest = subject.difference(subject.ours(), subject.plain)
        if not subject.at_rest < TOLERANCE:
            return subject.name, [f"{subject.name}: as it is: {subject.at_rest:.1e}"], {}, 1
        for key, cases in itertools.groupby(subject.cases(), lambda case: case[0]):
            accepted = any(part in subject.name and key == name for part, name in ACCEPTED)
            found = [(value, *judge(subject, key, value)) for _, value in cases]
            outcomes = {outcome for _, outcome, _ in found}
            # Where no value has an effect, one that diffusers' own check of types refuses has none either.
            idle = "nothing" in outcomes and "honoured" not in outcomes
            for value, outcome, fault in found:
                if fault and not accepted and not (idle and outcome == "as it is"):
                    lines.append(f"{subject.name}: {key} {shown(value)}: {fault}")
                seen[key].append((shown(value), "nothing" if outcome == "as it is" else outcome))
    return subject.name, lines, dict(seen), sum(len(v) for v in seen.values()) + 1


def class_of(subject):
    """Under which heading of the document a subject's keys stand."""
    if isinstance(subject, Scheduler):
        return subject.kind
    if isinstance(subject, Index):
        return "model_index.json"
    index = json.loads((FIXTURES / subject.fixture / "model_index.json").read_text())
    kind = index[subject.component][1]
    return f"{kind}'s {subject.file}" if isinstance(subject, File) else kind


HEAD = """# Keys of configuration files

What Reprise does with each key of each file that it reads, beside diffusers and transformers as pinned in
`tests/parity/requirements.txt`. `tests/parity/keys_live.py --write` makes this page from what it saw: it drops each key, sets it to
null, and varies it over the values that diffusers' source knows, and holds the results to diffusers'. Null is not the same as a
missing key: a missing key has diffusers' default, null has what diffusers makes of None, which for most keys is an error.

- *as diffusers*: latents or pictures equal diffusers' for these values.
- *refused*: one line names the file and the key. Most of these values diffusers cannot run either.
- *no effect*: no value changes anything, in diffusers or here.

Keys that are not listed are warned of ("is not a known key and has no effect"), but for those of `model_index.json` and of
tokenizers. Values in one list were all tried; a list of types stands for the block types of a whole model.
"""


def document(seen):
    classes = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for subject in SUBJECTS:
        for key, outcomes in seen[subject.name].items():
            for value, outcome in outcomes:
                values = classes[class_of(subject)][key][outcome]
                if value not in values:
                    values.append(value)
    lines = [HEAD]
    for kind, keys in sorted(classes.items()):
        lines += [f"\n## {kind}\n", "| key | as diffusers | refused |", "| --- | --- | --- |"]
        nothing = []
        for key, outcomes in sorted(keys.items()):
            if key == UNKNOWN_KEY:
                continue
            good = outcomes["honoured"] + outcomes["large"]
            if not good and outcomes["nothing"]:
                nothing.append(f"`{key}`")
                continue
            good += [value for value in outcomes["nothing"] if value not in good]
            bad = [value for value in outcomes["refused"] + outcomes["warned"] if value not in good]
            cells = [
                ", ".join(f"`{value}`" if value != "dropped" else value for value in values).replace("|", "\\|")
                for values in (good, bad)
            ]
            lines.append(f"| `{key}` | {cells[0]} | {cells[1]} |")
        if nothing:
            lines += ["", f"No effect: {', '.join(nothing)}."]
    lines += ["\n## Where Reprise does otherwise\n"]
    lines += [f"- `{key}` ({where}): {why}" for (where, key), why in ACCEPTED.items()]
    return "\n".join(lines) + "\n"


def listed(text):
    """The page's headings and keys. What was seen of a value may differ where rounding decides."""
    return re.findall(r"^#.*|^\| `[^`]+`", text, re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="make docs/diffusers-keys.md")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("parts", nargs="*")
    asked = parser.parse_args()
    chosen = [
        i for i, subject in enumerate(SUBJECTS) if not asked.parts or any(part in subject.name for part in asked.parts)
    ]
    faults, total, seen = [], 0, {}
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(asked.jobs, mp_context=context) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run, i) for i in chosen]):
            name, lines, found, count = future.result()
            faults += lines
            total += count
            seen[name] = found
            for line in lines:
                print(line, flush=True)
            print(f"{name}: {count} runs, {len(lines)} faults", flush=True)
    if faults:
        sys.exit(f"{len(faults)} faults in {total} runs")
    if len(chosen) == len(SUBJECTS):
        text = document(seen)
        if asked.write:
            DOCUMENT.write_text(text)
        elif DOCUMENT.exists() and listed(DOCUMENT.read_text()) != listed(text):
            print(f"{DOCUMENT.relative_to(ROOT)} lists other keys: run this with --write and read the difference")
    print(f"{total} runs, no faults")


if __name__ == "__main__":
    main()
