/* Enrols people from a camera's frames, which lie in memory as a driver hands them out: blue, green, red and
 * a byte that says nothing, rows padded to a multiple of 64 bytes. What is stored is locked with a key; the
 * last frame is then looked for.
 *
 *     enrol_frames RECOGNISER.json FACE.key PEOPLE.db NAME=FRAME.ppm ... PROBE.ppm
 *
 * The frames of this example are files (binary PPM), each a face that is cut out already; with a detector,
 * advface_extract_pictures() finds the face in a whole frame. */
#include <advface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct frame {
  unsigned char* pixels;
  int width, height;
  size_t stride; /* bytes from row to row */
};

/* Ends the program where a call has failed. */
static void must(advface_status status, advface_error** error) {
  if (status == ADVFACE_OK) return;
  fprintf(stderr, "enrol_frames: %s\n", advface_error_text(*error));
  advface_error_free(*error);
  exit(1);
}

static struct frame grab(const char* path) {
  struct frame f = {NULL, 0, 0, 0};
  int x, y, most = 0;
  FILE* file = fopen(path, "rb");
  if (!file || fscanf(file, "P6 %d %d %d", &f.width, &f.height, &most) != 3 || most != 255 || f.width < 1 ||
      f.height < 1 || f.width > 8192 || f.height > 8192) {
    fprintf(stderr, "enrol_frames: %s: no binary PPM\n", path);
    exit(1);
  }
  fgetc(file);
  f.stride = ((size_t)f.width * 4 + 63) / 64 * 64;
  f.pixels = calloc((size_t)f.height, f.stride);
  if (!f.pixels) exit(1);
  for (y = 0; y < f.height; ++y)
    for (x = 0; x < f.width; ++x) {
      unsigned char* bgrx = f.pixels + (size_t)y * f.stride + (size_t)x * 4;
      unsigned char rgb[3];
      if (fread(rgb, 1, 3, file) != 3) {
        fprintf(stderr, "enrol_frames: %s: is cut short\n", path);
        exit(1);
      }
      bgrx[0] = rgb[2], bgrx[1] = rgb[1], bgrx[2] = rgb[0];
    }
  fclose(file);
  return f;
}

/* The feature of one frame, of `dimension` values. The pixels are read where they lie. */
static void extract(const advface_recogniser* recogniser, const char* path, float* feature,
                    int64_t dimension) {
  struct frame f = grab(path);
  advface_error* error = NULL;
  int64_t pixels[4], row[2];
  advface_array frame, out;
  pixels[0] = 1, pixels[1] = f.height, pixels[2] = f.width, pixels[3] = 4;
  frame = advface_array_of(f.pixels, (uint64_t)f.height * f.stride, ADVFACE_U8, 4, pixels);
  frame.strides[1] = (int64_t)f.stride;
  row[0] = 1, row[1] = dimension;
  out = advface_array_of(feature, (uint64_t)dimension * sizeof(float), ADVFACE_F32, 2, row);
  must(advface_extract_faces(recogniser, NULL, &frame, ADVFACE_BGRA, NULL, &out, &error), &error);
  free(f.pixels);
}

int main(int argc, char** argv) {
  advface_error* error = NULL;
  advface_recogniser* recogniser = NULL;
  advface_key* key = NULL;
  advface_store* store = NULL;
  advface_space space;
  advface_setting settings[] = {{"protect", "rotation"}};
  int64_t shape[ADVFACE_MAX_RANK], one[2], number = -1;
  int32_t rank = 0, i;
  float *feature, score = 0;
  char subject[256];
  advface_array row, numbers, scores;
  if (argc < 6) {
    fprintf(stderr, "usage: enrol_frames RECOGNISER.json FACE.key PEOPLE.db NAME=FRAME.ppm ... PROBE.ppm\n");
    return 2;
  }
  must(advface_recogniser_load(argv[1], &recogniser, &error), &error);
  must(advface_recogniser_feature_shape(recogniser, NULL, shape, &rank, &error), &error);
  must(advface_key_new(argv[2], &key, &error), &error);
  memset(&space, 0, sizeof space);
  space.size = sizeof space;
  space.recogniser = recogniser;
  must(advface_store_create(argv[3], NULL, &space, settings, 1, key, NULL, &store, &error), &error);

  feature = malloc((size_t)shape[0] * sizeof *feature);
  if (!feature) return 1;
  one[0] = 1, one[1] = shape[0];
  row = advface_array_of(feature, (uint64_t)shape[0] * sizeof *feature, ADVFACE_F32, 2, one);
  for (i = 4; i < argc - 1; ++i) {
    char* path = strchr(argv[i], '=');
    const char* name = argv[i];
    if (!path) {
      fprintf(stderr, "enrol_frames: %s is no NAME=FRAME.ppm\n", argv[i]);
      return 2;
    }
    *path++ = '\0';
    extract(recogniser, path, feature, shape[0]);
    must(advface_store_add(store, &row, &name, 1, NULL, NULL, &error), &error);
    printf("enrolled %s\n", name);
  }

  extract(recogniser, argv[argc - 1], feature, shape[0]);
  one[1] = 1;
  numbers = advface_array_of(&number, sizeof number, ADVFACE_I64, 2, one);
  scores = advface_array_of(&score, sizeof score, ADVFACE_F32, 2, one);
  must(advface_store_identify(store, &row, NULL, &numbers, &scores, NULL, &error), &error);
  must(advface_store_subject(store, number, NULL, subject, sizeof subject, NULL, &error), &error);
  printf("most like %s, score %.4f\n", subject, (double)score);

  free(feature);
  advface_store_close(store);
  advface_key_free(key);
  advface_recogniser_free(recogniser);
  return 0;
}
