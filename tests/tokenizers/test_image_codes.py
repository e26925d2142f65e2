"""Images as words: a token a code, in Python and in a graph, there and back."""

import numpy as np
import pytest
import tensorflow as tf

from metagpt_tf.tokenizers.image_codes import codes_to_text, first_code_id, image_tokenizer, text_to_codes


@pytest.mark.parametrize("num_codes", [1, 64, 65, 512, 4096])
def test_a_code_is_a_token(num_codes):
    tokenizer = image_tokenizer(num_codes)
    first = first_code_id(num_codes)
    assert tokenizer.vocabulary_size == first + num_codes
    codes = np.random.default_rng(0).integers(0, num_codes, (20, 7, 7))
    for image, text in zip(codes, codes_to_text(codes), strict=True):
        ids = tokenizer.encode("letter g:" + text)
        assert ids[9:] == (image.ravel() + first).tolist() and len(ids) == 9 + 49
        np.testing.assert_array_equal(text_to_codes(tokenizer.decode(ids), (7, 7), num_codes), image)


def test_a_graph_reads_the_same():
    tokenizer = image_tokenizer(512)
    texts = [text + "a:" for text in codes_to_text(np.random.default_rng(1).integers(0, 512, (9, 7, 7)))]
    np.testing.assert_array_equal(tokenizer.encode_tensor(tf.constant(texts), 60), tokenizer.pack(texts, 60))


def test_what_is_refused():
    for number in (0, 4097):
        with pytest.raises(ValueError, match="from 1 to 4096"):
            image_tokenizer(number)
    with pytest.raises(ValueError, match="of \\(7, 7\\) codes, received a text with 1 codes"):
        text_to_codes("letter \ue000", (7, 7))
    with pytest.raises(ValueError, match="from 0 to 3, the text has 4"):
        text_to_codes("\ue004", (1, 1), 4)
    for codes in ([1, 2], [[4096]], [[-1]]):
        with pytest.raises(ValueError, match="Expected codes"):
            codes_to_text(codes)
