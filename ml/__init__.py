"""The networks: one preprocessing path, training on Keras, serving on ONNX Runtime."""
