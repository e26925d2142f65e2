/* Runs one signature of a SavedModel on TensorFlow's C API: no Python, no Keras, nothing of this package.
 *
 *   run_signature DIRECTORY REPEATS OUTPUT... < tensors > tensors
 *
 * OUTPUT is the name of a tensor such as "StatefulPartitionedCall:0"; the inputs carry such names too. Names of a
 * signature's tensors stand in its SignatureDef (`saved_model_cli show --all`).
 *
 * Both streams are in the byte order of the machine. Input: count u32, then tensors. Output: median milliseconds of the
 * repeats after the first run f64, then tensors in the order asked for.
 * A tensor: name length u32, name, type u32 (TF_DataType), rank u32, sizes i64, then its numbers as they lie in memory,
 * or for each string its length u64 and its bytes.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

enum { LONGEST_NAME = 512, MOST_TENSORS = 64, MOST_AXES = 8, MOST_REPEATS = 1000 };

static void fail(const char *what, const char *why) {
  fprintf(stderr, "run_signature: %s: %s\n", what, why);
  exit(1);
}

static void check(const TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static void read_all(void *to, size_t size) {
  if (size && fread(to, 1, size, stdin) != size) fail("input", "ends too early");
}

static void write_all(const void *from, size_t size) {
  if (size && fwrite(from, 1, size, stdout) != size) fail("output", "cannot be written");
}

static uint32_t read_u32(void) {
  uint32_t value;
  read_all(&value, sizeof value);
  return value;
}

/* "scope/operation:1" in a graph. */
static TF_Output tensor_of(TF_Graph *graph, const char *name) {
  char operation[LONGEST_NAME];
  const char *colon = strrchr(name, ':');
  if (!colon || colon - name >= LONGEST_NAME) fail(name, "is no tensor's name");
  memcpy(operation, name, colon - name);
  operation[colon - name] = 0;
  char *end;
  long index = strtol(colon + 1, &end, 10);
  if (end == colon + 1 || *end) fail(name, "has no number after its colon");
  TF_Output found = {TF_GraphOperationByName(graph, operation), (int)index};
  if (!found.oper) fail(name, "is not in the graph");
  if (index < 0 || index >= TF_OperationNumOutputs(found.oper)) fail(name, "is no output of its operation");
  return found;
}

static void read_strings(TF_TString *strings, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    uint64_t size;
    read_all(&size, sizeof size);
    char *text = malloc(size ? size : 1);
    if (!text) fail("input", "no memory for a string");
    read_all(text, size);
    TF_StringInit(&strings[i]);
    TF_StringCopy(&strings[i], text, size);
    free(text);
  }
}

static TF_Tensor *read_tensor(TF_Graph *graph, TF_Output *place) {
  char name[LONGEST_NAME];
  uint32_t length = read_u32();
  if (length >= LONGEST_NAME) fail("input", "a name is too long");
  read_all(name, length);
  name[length] = 0;
  *place = tensor_of(graph, name);
  TF_DataType type = (TF_DataType)read_u32();
  uint32_t rank = read_u32();
  int64_t sizes[MOST_AXES], count = 1;
  if (rank > MOST_AXES) fail(name, "has too many axes");
  read_all(sizes, rank * sizeof *sizes);
  for (uint32_t i = 0; i < rank; i++)
    if (sizes[i] < 0 || __builtin_mul_overflow(count, sizes[i], &count)) fail(name, "has impossible sizes");
  size_t each = type == TF_STRING ? sizeof(TF_TString) : TF_DataTypeSize(type), bytes;
  if (!each) fail(name, "is of a type that cannot be sent");
  if (__builtin_mul_overflow((size_t)count, each, &bytes)) fail(name, "is too large");
  TF_Tensor *tensor = TF_AllocateTensor(type, sizes, (int)rank, bytes);
  if (!tensor) fail(name, "no memory");
  if (type == TF_STRING) read_strings(TF_TensorData(tensor), count);
  else read_all(TF_TensorData(tensor), bytes);
  return tensor;
}

static void write_tensor(const char *name, const TF_Tensor *tensor) {
  uint32_t length = strlen(name), type = TF_TensorType(tensor), rank = TF_NumDims(tensor);
  write_all(&length, sizeof length);
  write_all(name, length);
  write_all(&type, sizeof type);
  write_all(&rank, sizeof rank);
  for (uint32_t i = 0; i < rank; i++) {
    int64_t size = TF_Dim(tensor, i);
    write_all(&size, sizeof size);
  }
  if (type != TF_STRING) {
    write_all(TF_TensorData(tensor), TF_TensorByteSize(tensor));
    return;
  }
  const TF_TString *strings = TF_TensorData(tensor);
  for (int64_t i = 0; i < TF_TensorElementCount(tensor); i++) {
    uint64_t size = TF_StringGetSize(&strings[i]);
    write_all(&size, sizeof size);
    write_all(TF_StringGetDataPointer(&strings[i]), size);
  }
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return 1e3 * time.tv_sec + 1e-6 * time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc < 4 || argc - 3 > MOST_TENSORS) fail("usage", "run_signature DIRECTORY REPEATS OUTPUT... < in > out");
  int repeats = atoi(argv[2]), outputs = argc - 3;
  if (repeats < 0 || repeats > MOST_REPEATS) fail(argv[2], "is no number of repeats");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  check(status, argv[1]);

  TF_Output fed[MOST_TENSORS], asked[MOST_TENSORS];
  TF_Tensor *given[MOST_TENSORS], *found[MOST_TENSORS] = {0};
  uint32_t inputs = read_u32();
  if (inputs > MOST_TENSORS) fail("input", "too many tensors");
  for (uint32_t i = 0; i < inputs; i++) given[i] = read_tensor(graph, &fed[i]);
  for (int i = 0; i < outputs; i++) asked[i] = tensor_of(graph, argv[3 + i]);

  double times[MOST_REPEATS + 1] = {0};
  for (int run = 0; run <= repeats; run++) {
    for (int i = 0; i < outputs; i++) {
      if (found[i]) TF_DeleteTensor(found[i]);
      found[i] = NULL;
    }
    double start = now();
    TF_SessionRun(session, NULL, fed, given, (int)inputs, asked, found, outputs, NULL, 0, NULL, status);
    check(status, "run");
    if (run) times[run - 1] = now() - start;
  }
  qsort(times, repeats, sizeof *times, ascending);
  double median = repeats ? times[repeats / 2] : 0;
  write_all(&median, sizeof median);
  for (int i = 0; i < outputs; i++) write_tensor(argv[3 + i], found[i]);
  if (fflush(stdout)) fail("output", "cannot be written");

  for (uint32_t i = 0; i < inputs; i++) TF_DeleteTensor(given[i]);
  for (int i = 0; i < outputs; i++) TF_DeleteTensor(found[i]);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
