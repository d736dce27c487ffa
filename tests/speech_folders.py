"""Tiny models of ``transformers``, with random weights: what they say is noise, how is real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LETTERS = " abcdefghijklmnopqrstuvwxyz'-_"


def make_vits(folder: Path, *, speakers: int = 1) -> None:
    """A voice like those of MMS-TTS: letters in, samples of 16 kHz out."""
    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    torch.manual_seed(0)
    config = VitsConfig(
        vocab_size=len(LETTERS) + 2,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=32,
        flow_size=16,
        spectrogram_bins=9,
        upsample_initial_channel=16,
        upsample_rates=[8, 8],
        upsample_kernel_sizes=[16, 16],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
        duration_predictor_filter_channels=16,
        prior_encoder_num_wavenet_layers=1,
        posterior_encoder_num_wavenet_layers=1,
        prior_encoder_num_flows=1,
        duration_predictor_num_flows=1,
        depth_separable_num_layers=1,
        wavenet_dilation_rate=1,
        sampling_rate=16_000,
        num_speakers=speakers,
        speaker_embedding_size=8 if speakers > 1 else 0,
    )
    folder.mkdir(parents=True)
    VitsModel(config).save_pretrained(folder)
    vocabulary = {letter: number for number, letter in enumerate(LETTERS)}
    vocabulary |= {"<pad>": len(LETTERS), "<unk>": len(LETTERS) + 1}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    VitsTokenizer(
        folder / "vocab.json", phonemize=False, is_uroman=False, language="eng"
    ).save_pretrained(folder)


def make_speecht5(folder: Path) -> None:
    """A voice with its vocoder and one x-vector, as `microsoft/speecht5_tts` needs them."""
    import numpy as np
    import sentencepiece
    import torch
    from transformers import (
        SpeechT5Config,
        SpeechT5ForTextToSpeech,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
        SpeechT5Tokenizer,
    )

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    words = folder / "words.txt"
    words.write_text("the quick brown fox jumps over the lazy dog.\nhello there, how are you?\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(words),
        model_prefix=str(folder / "spm_char"),
        model_type="char",
        vocab_size=34,
        minloglevel=2,
    )
    SpeechT5Tokenizer(str(folder / "spm_char.model")).save_pretrained(folder)
    config = SpeechT5Config(
        vocab_size=81,
        hidden_size=16,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        num_mel_bins=20,
        speech_decoder_prenet_units=16,
        speech_decoder_postnet_units=16,
        speaker_embedding_dim=8,
        max_speech_positions=4000,
    )
    SpeechT5ForTextToSpeech(config).save_pretrained(folder)
    vocoder = SpeechT5HifiGanConfig(
        model_in_dim=20,
        upsample_initial_channel=16,
        upsample_rates=[4],
        upsample_kernel_sizes=[8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]],
    )
    SpeechT5HifiGan(vocoder).save_pretrained(folder / "vocoder")
    (folder / "speaker_embeddings").mkdir()
    vector = np.random.default_rng(0).normal(size=8).astype(np.float32)
    np.save(folder / "speaker_embeddings" / "anna.npy", vector)


def make_bark(folder: Path) -> None:
    """A voice of four networks, without presets."""
    import torch
    from transformers import (
        BarkConfig,
        BarkModel,
        BarkProcessor,
        BertTokenizer,
        EncodecConfig,
        GenerationConfig,
    )
    from transformers.models.bark.configuration_bark import (
        BarkCoarseConfig,
        BarkFineConfig,
        BarkSemanticConfig,
    )

    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_layers": 1, "num_heads": 1, "block_size": 1024}
    codec = EncodecConfig(num_filters=4, hidden_size=16, codebook_dim=16, num_lstm_layers=1)
    config = BarkConfig(
        semantic_config=BarkSemanticConfig(
            input_vocab_size=129_600, output_vocab_size=10_048, **size
        ).to_dict(),
        coarse_acoustics_config=BarkCoarseConfig(
            input_vocab_size=12_096, output_vocab_size=12_096, **size
        ).to_dict(),
        fine_acoustics_config=BarkFineConfig(
            input_vocab_size=1056, output_vocab_size=1056, **size
        ).to_dict(),
        codec_config=codec.to_dict(),
    )
    model = BarkModel(config)
    model.generation_config = GenerationConfig()
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    generation = {
        "semantic_config": {"max_new_tokens": 12, "do_sample": True, "eos_token_id": 10_000},
        "coarse_acoustics_config": {"do_sample": True},
        "fine_acoustics_config": {"temperature": 0.5},
        "sample_rate": 24_000,
        "codebook_size": 1024,
        "model_type": "bark",
    }
    (folder / "generation_config.json").write_text(json.dumps(generation))
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] hello there . how are you ?".split()
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(words))
    BarkProcessor(BertTokenizer(vocab=str(vocabulary))).save_pretrained(folder)


def make_whisper(folder: Path, tokenizer_file: Path) -> None:
    """A model that transcribes English into words without sense.

    Args:
        folder: To be made.
        tokenizer_file: Of tiny.en.
    """
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizerFast,
    )

    torch.manual_seed(0)
    ends: dict[str, Any] = {
        "bos_token_id": 50256,
        "eos_token_id": 50256,
        "pad_token_id": 50256,
        "decoder_start_token_id": 50257,
    }
    config = WhisperConfig(
        vocab_size=51864,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        begin_suppress_tokens=None,
        **ends,
    )
    folder.mkdir(parents=True)
    model = WhisperForConditionalGeneration(config)
    of_tiny_en = {"no_timestamps_token_id": 50362, "is_multilingual": False, "max_length": 24}
    model.generation_config = GenerationConfig(**of_tiny_en, **ends)
    model.save_pretrained(folder)
    tokenizer = WhisperTokenizerFast(tokenizer_file=str(tokenizer_file))
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)
