// Not run here: no build of LiteRT for C++ was at hand. Tensor names, types and the order of calls are those of
// model.tflite. The file's checksum is not compared here: see README.md. Link with LiteRT (or TensorFlow Lite) 2.16 or newer: SignatureRunner is in its C++ API.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "tensorflow/lite/interpreter.h"
#include "tensorflow/lite/interpreter_builder.h"
#include "tensorflow/lite/kernels/register.h"
#include "tensorflow/lite/model_builder.h"
#include "tensorflow/lite/signature_runner.h"

class Learner {
 public:
  explicit Learner(const std::string& path)
      : model_(tflite::FlatBufferModel::VerifyAndBuildFromFile(path.c_str())) {
    tflite::ops::builtin::BuiltinOpResolver resolver;
    if (!model_ || tflite::InterpreterBuilder(*model_, resolver)(&interpreter_) != kTfLiteOk) {
      throw std::runtime_error(path + " is not a readable LiteRT file");
    }
    interpreter_->SetNumThreads(2);
  }

  // K x S and K x T ids, row by row, to the state.
  std::vector<float> Adapt(const std::vector<int32_t>& support_x, const std::vector<int32_t>& support_y) {
    auto* run = Runner("adapt");
    Put(run, "support_x", support_x);
    Put(run, "support_y", support_y);
    return Get<float>(run, "state");
  }

  // S ids and a state to T ids, the likeliest; 2 ends a text.
  std::vector<int32_t> Generate(const std::vector<int32_t>& source, const std::vector<float>& state) {
    auto* run = Runner("generate");
    Put(run, "source", source);
    Put(run, "state", state);
    return Get<int32_t>(run, "output");
  }

  // The loss of each of K pairs, in nats a token.
  std::vector<float> Score(const std::vector<int32_t>& source, const std::vector<int32_t>& target,
                           const std::vector<float>& state) {
    auto* run = Runner("score");
    Put(run, "source", source);
    Put(run, "target", target);
    Put(run, "state", state);
    return Get<float>(run, "loss");
  }

 private:
  tflite::SignatureRunner* Runner(const char* name) {
    auto* run = interpreter_->GetSignatureRunner(name);
    if (!run || run->AllocateTensors() != kTfLiteOk) throw std::runtime_error(std::string("no signature ") + name);
    return run;
  }

  template <typename T>
  void Put(tflite::SignatureRunner* run, const char* name, const std::vector<T>& values) {
    TfLiteTensor* tensor = run->input_tensor(name);
    if (!tensor || tensor->bytes != values.size() * sizeof(T)) {
      throw std::invalid_argument(std::string(name) + " has another size than the file was made for");
    }
    if constexpr (std::is_same_v<T, float>) {
      for (float value : values) {
        if (!std::isfinite(value)) throw std::invalid_argument(std::string(name) + " holds what is no number");
      }
    }
    std::memcpy(tensor->data.raw, values.data(), tensor->bytes);
  }

  template <typename T>
  std::vector<T> Get(tflite::SignatureRunner* run, const char* name) {
    if (run->Invoke() != kTfLiteOk) throw std::runtime_error("the file failed to run");
    const TfLiteTensor* tensor = run->output_tensor(name);
    const T* first = reinterpret_cast<const T*>(tensor->data.raw_const);
    return std::vector<T>(first, first + tensor->bytes / sizeof(T));
  }

  std::unique_ptr<tflite::FlatBufferModel> model_;
  std::unique_ptr<tflite::Interpreter> interpreter_;
};
