"""What has to be computed after what, in a graph of TensorFlow."""


def run_after(awaited, *tensors):
    """The tensors, but not before those awaited are there.

    Tied by a number that is always 0, which TensorFlow does not see: it takes mere
    control dependencies, and operations that do nothing, out of a graph again, and
    with them at times the order of a variable's reading and writing.
    """
    import tensorflow as tf

    token = tf.add_n([tf.reshape(tensor, (-1,))[0] for tensor in awaited])
    zero = tf.minimum(tf.cast(tf.math.is_nan(token), "float32"), 0.0)
    return [tensor + tf.cast(zero, tensor.dtype) for tensor in tensors]
