/*===- CUDAGraph.c - Calls that are captured once and replayed ------------===*/

#include "CUDA.h"

#include <stdlib.h>

struct ssmrt_cuda_graph {
  CUgraphExec executable;
};

/* A device's own stream cannot be captured, so that the context has another one
 * meanwhile. */
static ssmrt_status beginCapture(ssmrtCudaContext *cuda) {
  const ssmrtCudaDriver *driver = cuda->driver;
  if (!driver->cuGraphLaunch || !driver->cuGraphInstantiateWithFlags ||
      !driver->cuGraphDestroy || !driver->cuGraphExecDestroy ||
      !driver->cuStreamBeginCapture || !driver->cuStreamEndCapture)
    return ssmrtFail(SSMRT_NO_DEVICE,
                     "the CUDA driver has no graphs; wanted one for CUDA 11.4 "
                     "or later");
  if (cuda->captures)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "ssmrt_cuda_graph_begin: the context is capturing already");
  CUstream stream;
  CUresult result = driver->cuStreamCreate(&stream, 0);
  if (result == CUDA_SUCCESS) {
    result = driver->cuStreamBeginCapture(stream,
                                          CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    if (result != CUDA_SUCCESS)
      driver->cuStreamDestroy(stream);
  }
  if (result != CUDA_SUCCESS)
    return ssmrtFailCuda(driver, result, "beginning a graph on GPU %d",
                         cuda->ordinal);
  cuda->captures = true;
  cuda->ownStream = cuda->stream;
  cuda->stream = stream;
  return SSMRT_OK;
}

ssmrt_status ssmrt_cuda_graph_begin(ssmrt_context *context) {
  ssmrtCudaContext *cuda;
  ssmrt_status status =
      ssmrtCheckAndEnterCuda("ssmrt_cuda_graph_begin", context, &cuda);
  if (status != SSMRT_OK)
    return status;
  status = beginCapture(cuda);
  ssmrtLeaveCuda(cuda);
  return status;
}

static ssmrt_status endCapture(ssmrtCudaContext *cuda,
                               ssmrt_cuda_graph **graph) {
  const ssmrtCudaDriver *driver = cuda->driver;
  if (!cuda->captures)
    return ssmrtFail(SSMRT_BAD_ARGUMENT,
                     "ssmrt_cuda_graph_end: no graph has begun");
  CUstream captured = cuda->stream;
  cuda->stream = cuda->ownStream;
  cuda->captures = false;
  CUgraph description = NULL;
  CUresult result = driver->cuStreamEndCapture(captured, &description);
  driver->cuStreamDestroy(captured);
  ssmrt_cuda_graph *made = NULL;
  if (result == CUDA_SUCCESS) {
    made = calloc(1, sizeof(*made));
    if (made)
      result = driver->cuGraphInstantiateWithFlags(&made->executable,
                                                   description, 0);
    driver->cuGraphDestroy(description);
    if (!made)
      return ssmrtFailMemory(sizeof(*made), "a graph");
  }
  if (result != CUDA_SUCCESS) {
    free(made);
    return ssmrtFailCuda(driver, result, "making a graph on GPU %d",
                         cuda->ordinal);
  }
  *graph = made;
  return SSMRT_OK;
}

ssmrt_status ssmrt_cuda_graph_end(ssmrt_context *context,
                                  ssmrt_cuda_graph **graph) {
  ssmrtCudaContext *cuda;
  ssmrt_status status =
      ssmrtCheckAndEnterCuda("ssmrt_cuda_graph_end", context, &cuda);
  if (status != SSMRT_OK)
    return status;
  *graph = NULL;
  status = endCapture(cuda, graph);
  ssmrtLeaveCuda(cuda);
  return status;
}

ssmrt_status ssmrt_cuda_graph_launch(ssmrt_context *context,
                                     const ssmrt_cuda_graph *graph) {
  ssmrtCudaContext *cuda;
  ssmrt_status status =
      ssmrtCheckAndEnterCuda("ssmrt_cuda_graph_launch", context, &cuda);
  if (status != SSMRT_OK)
    return status;
  CUresult result = cuda->driver->cuGraphLaunch(graph->executable, cuda->stream);
  if (result != CUDA_SUCCESS)
    status = ssmrtFailCuda(cuda->driver, result, "replaying a graph on GPU %d",
                           cuda->ordinal);
  ssmrtLeaveCuda(cuda);
  return status;
}

void ssmrt_cuda_graph_destroy(ssmrt_context *context, ssmrt_cuda_graph *graph) {
  ssmrtCudaContext *cuda;
  if (!graph || ssmrtCheckCudaContext("ssmrt_cuda_graph_destroy", context,
                                      &cuda) != SSMRT_OK)
    return;
  if (ssmrtEnterCuda(cuda) == SSMRT_OK) {
    cuda->driver->cuGraphExecDestroy(graph->executable);
    ssmrtLeaveCuda(cuda);
  }
  free(graph);
}
