// An ONNX file as a function on tensors. Nodes run through apply(), so that a tape records them and gradients
// flow; any tensor of the graph can be asked for, or fed in place of what would compute it, which is how a
// network is cut in two. The weights live on the backend that was current when the model was loaded.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/onnx/graph.h"
#include "tensor/tensor.h"

namespace advf {

class OnnxModel {
 public:
  // A file may not make more than this of one image: a value, and all values together, in elements.
  static constexpr int64_t kMaxValue = int64_t(1) << 26, kMaxTotal = int64_t(1) << 28;
  static constexpr uint64_t kMaxFileBytes = uint64_t(2) << 30;  // protobuf's own limit

  // Throws one Error that names the file and lists everything in it that cannot be used. dtype is that of the
  // weights, and then of all that is fed: f32, or f64 for gradient checks.
  static OnnxModel load(const std::string& path, DType dtype = DType::f32);
  // folder: where files lie that the model keeps data in; without one such data is a problem.
  static OnnxModel from_bytes(std::string_view bytes, const std::string& source, DType dtype = DType::f32,
                              const std::string& folder = {});

  const std::string& source() const;
  DType dtype() const;  // of the weights
  // Names the weights: FNV-1a (64 bits, 16 hex digits) of the file's bytes, and of those of the files beside
  // it that it keeps data in.
  const std::string& fingerprint() const;
  const std::vector<onnx::Declared>& inputs() const;  // -1 where a dimension is not fixed
  std::vector<std::string> outputs() const;
  // Everything that depends on an input, in the order of execution.
  std::vector<std::string> values() const;
  int64_t opset() const;
  const std::string& producer() const;
  const std::map<std::string, std::string>& metadata() const;
  const std::map<std::string, int64_t>& op_counts() const;  // nodes of the file by type
  int64_t parameters() const;                               // floats stored in the file
  bool has_value(const std::string& name) const;

  // The values named `wanted`, given the tensors of `feeds` (inputs or any other values). Runs only what is
  // needed and frees intermediates after their last use. Dimension 0 counts images: a model whose file fixes
  // it at one runs any number. Under a MetaScope only shapes are computed.
  using Feeds = std::vector<std::pair<std::string, Tensor>>;
  std::vector<Tensor> run(const Feeds& feeds, const std::vector<std::string>& wanted) const;

  // Tries with two images whether what is made of an image depends on that image alone: a graph may hold for
  // a batch of one only, or mix its rows (a mean over the batch, a reshape that swallows it). `pair` feeds
  // two images, which should differ much; `wanted` must depend on them.
  struct RowTest {
    std::vector<bool> apart;  // for each value of `wanted`: row i of dimension 0 is what image i makes of it
    std::string why;  // the first node at which images meet, or that fails for two; "" where none does
  };
  RowTest test_rows(const Feeds& pair, const std::vector<std::string>& wanted) const;
  // The same model, which from now on runs one image at a time whatever the number it is given.
  OnnxModel one_at_a_time() const;

  // What run() would compute, in order, without computing it.
  struct Traced {
    std::string name, op_type;
    Shape shape;
    int64_t macs = 0;  // multiplications and additions of the node that makes it
  };
  using FeedShapes = std::vector<std::pair<std::string, Shape>>;
  std::vector<Traced> trace(const FeedShapes& feeds, const std::vector<std::string>& wanted) const;

  // Whether no value of this tensor can be negative, as far as the types of the nodes before it tell: after a
  // ReLU or a sigmoid, and what pooling, reshaping, adding or joining makes of such tensors.
  bool non_negative(const std::string& value) const;

  // The values that every path from the inputs to `output` goes through, in order, `output` itself the last.
  std::vector<std::string> cuts(const std::string& output) const;
  // The first value that goes round `cut` on the way to `output`; "" where the cut separates.
  // Throws where `cut` does not exist or does not lead to `output`.
  std::string bypass(const std::string& cut, const std::string& output) const;

 private:
  struct State;
  struct Step;
  explicit OnnxModel(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::vector<Tensor> run_all(const Feeds& feeds, const std::vector<std::string>& wanted) const;
  std::shared_ptr<const State> state_;  // immutable, so copies share it
  bool one_at_a_time_ = false;
};

}  // namespace advf
