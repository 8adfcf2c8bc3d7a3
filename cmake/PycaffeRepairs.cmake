# The places where BVLC's Python files have to change, each with its reason; see ul2q_repair.

# scikit-image and SciPy are loaded by the functions that use them, not by `import caffe`.
ul2q_repair(python/caffe/io.py
  FROM [[import skimage.io
from scipy.ndimage import zoom
from skimage.transform import resize
]]
  TO "")
ul2q_repair(python/caffe/io.py
  FROM [[    if im.shape[-1] == 1 or im.shape[-1] == 3:]]
  TO [[    from scipy.ndimage import zoom
    from skimage.transform import resize
    if im.shape[-1] == 1 or im.shape[-1] == 3:]])

# scikit-image spells the option as_gray since 0.14.
ul2q_repair(python/caffe/io.py
  FROM [[    img = skimage.img_as_float(skimage.io.imread(filename, as_grey=not color)).astype(np.float32)]]
  TO [[    import skimage.io
    img = skimage.img_as_float(skimage.io.imread(filename, as_gray=not color)).astype(np.float32)]])

# scikit-image smooths before it shrinks an image since 0.15, unless told not to. Nets were trained, and published accuracies
# measured, on images that were only interpolated.
ul2q_repair(python/caffe/io.py
  FROM [[            resized_std = resize(im_std, new_dims, order=interp_order, mode='constant')]]
  TO [[            resized_std = resize(im_std, new_dims, order=interp_order, mode='constant', anti_aliasing=False)]])

# Images stay as they are: BVLC's scales and centres an array of the input's size in place, and a pixel that several windows
# of a detector share more than once.
ul2q_repair(python/caffe/io.py
  FROM [[caffe_in = data.astype(np.float32, copy=False)]]
  TO [[caffe_in = data.astype(np.float32)]])

# NumPy 2.3 dropped tostring and the binary form of fromstring, which gave an array that can be written.
ul2q_repair(python/caffe/io.py
  FROM [[arr.tostring()]]
  TO [[arr.tobytes()]])
ul2q_repair(python/caffe/io.py
  FROM [[np.fromstring(datum.data, dtype=np.uint8)]]
  TO [[np.frombuffer(bytearray(datum.data), dtype=np.uint8)]])

# The images are gone through twice; Python 3's zip, which detect_selective_search passes, gives them once.
ul2q_repair(python/caffe/detector.py
  FROM [[        # Extract windows.
]]
  TO [[        images_windows = list(images_windows)
        # Extract windows.
]])

# NumPy 1.12 and newer take no float for an index.
ul2q_repair(python/caffe/detector.py
  FROM [[            box = np.clip(box, 0., [im_h, im_w, im_h, im_w])]]
  TO [[            box = np.clip(box, 0, [im_h, im_w, im_h, im_w]).astype(int)]])

# A quantised layer is drawn and mapped as its float layer is.
ul2q_repair(python/caffe/coord_map.py
  FROM [=[fn.type_name in ['Convolution', 'Pooling', 'Im2col']]=]
  TO [=[fn.type_name.removeprefix('Quantized') in ['Convolution', 'Pooling', 'Im2col']]=])
ul2q_repair(python/caffe/coord_map.py
  FROM [[fn.type_name == 'Deconvolution']]
  TO [[fn.type_name in ('Deconvolution', 'QuantizedDeconvolution')]])
ul2q_repair(python/caffe/coord_map.py
  FROM [[PASS_THROUGH_LAYERS = ['AbsVal',]]
  TO [[PASS_THROUGH_LAYERS = ['QuantizedActivation', 'AbsVal',]])
ul2q_repair(python/caffe/draw.py
  FROM [[layer.type == 'Convolution' or layer.type == 'Deconvolution']]
  TO [[layer.type.removeprefix('Quantized') in ('Convolution', 'Deconvolution')]])
ul2q_repair(python/caffe/draw.py
  FROM [[layer.type == 'InnerProduct']]
  TO [[layer.type.removeprefix('Quantized') == 'InnerProduct']])
ul2q_repair(python/caffe/draw.py
  FROM [=[layer.type not in ['Convolution', 'Deconvolution', 'InnerProduct']]=]
  TO [=[layer.type.removeprefix('Quantized') not in ['Convolution', 'Deconvolution', 'InnerProduct']]=])
ul2q_repair(python/caffe/draw.py
  FROM [=[layer.type in ['Convolution', 'Deconvolution', 'InnerProduct']]=]
  TO [=[layer.type.removeprefix('Quantized') in ['Convolution', 'Deconvolution', 'InnerProduct']]=])
ul2q_repair(python/caffe/draw.py
  FROM [=[['Convolution', 'Deconvolution', 'Pooling']]=]
  TO [=[['Convolution', 'QuantizedConvolution', 'Deconvolution', 'QuantizedDeconvolution', 'Pooling']]=])
ul2q_repair(python/caffe/draw.py
  FROM [[layertype == 'Convolution' or layertype == 'Deconvolution']]
  TO [[layertype.removeprefix('Quantized') in ('Convolution', 'Deconvolution')]])
ul2q_repair(python/caffe/draw.py
  FROM [[layertype == 'InnerProduct']]
  TO [[layertype.removeprefix('Quantized') == 'InnerProduct']])
ul2q_repair(python/caffe/draw.py
  FROM [[    # Concatenate the descriptors into one label]]
  TO [[    if layer.HasField('quantization_param'):
        from ul2q.pycaffe import bits_text
        descriptors_list.append("bits: " + bits_text(layer))

    # Concatenate the descriptors into one label]])

# The text of the graph, '.raw' as draw_net_to_file documents it. BVLC's asks Graphviz, which knows no such format.
ul2q_repair(python/caffe/draw.py
  FROM [[    return get_pydot_graph(caffe_net, rankdir, phase=phase,
                           display_lrm=display_lrm).create(format=ext)]]
  TO [[    graph = get_pydot_graph(caffe_net, rankdir, phase=phase,
                            display_lrm=display_lrm)
    return graph.to_string().encode('utf-8') if ext == 'raw' else graph.create(format=ext)]])

# ul2q sets how OpenMP's threads wait, which must stand before libcaffe is loaded.
ul2q_repair(python/caffe/__init__.py
  FROM [[from .pycaffe import Net]]
  TO [[import ul2q as _ul2q
from .pycaffe import Net]])

# A failed CHECK arrives in Python as this exception.
ul2q_repair(python/caffe/__init__.py
  FROM [[from ._caffe import __version__]]
  TO [[from ._caffe import __version__, CaffeError, CaffeFileNotFoundError]])

# net_spec knows our layers; nets and blobs show themselves as tables.
ul2q_repair(python/caffe/__init__.py
  FROM [[from .net_spec import layers, params, NetSpec, to_proto]]
  TO [[from .net_spec import layers, params, NetSpec, to_proto
from ul2q import pycaffe as _ul2q_pycaffe

_ul2q_pycaffe.install()]])

# The command scripts are installed into caffe/scripts, one folder below the mean image.
foreach(script classify detect)
  ul2q_repair(python/${script}.py
    FROM [[caffe/imagenet/ilsvrc_2012_mean.npy]]
    TO [[../imagenet/ilsvrc_2012_mean.npy]])
endforeach()

# What pandas has dropped or is about to (cols, to_hdf's second positional argument, set_index in place), and names that
# never were there (NUM_OUTPUT, feat).
foreach(table inputs df)
  ul2q_repair(python/detect.py
    FROM "${table}.set_index('filename', inplace=True)"
    TO "${table} = ${table}.set_index('filename')")
endforeach()
ul2q_repair(python/detect.py
  FROM [[        class_cols = ['class{}'.format(x) for x in range(NUM_OUTPUT)]
        df[class_cols] = pd.DataFrame(
            data=np.vstack(df['feat']), index=df.index, columns=class_cols)
        df.to_csv(args.output_file, cols=COORD_COLS + class_cols)]]
  TO [[        predictions = np.vstack(df['prediction'].tolist())
        class_cols = ['class{}'.format(x) for x in range(predictions.shape[1])]
        df[class_cols] = pd.DataFrame(
            data=predictions, index=df.index, columns=class_cols)
        df.to_csv(args.output_file, columns=COORD_COLS + class_cols)]])
ul2q_repair(python/detect.py
  FROM [[df.to_hdf(args.output_file, 'df', mode='w')]]
  TO [[df.to_hdf(args.output_file, key='df', mode='w')]])

# Without NCCL, say so; BVLC's fails on a missing attribute.
ul2q_repair(python/train.py
  FROM [[    # NCCL uses a uid to identify a session]]
  TO [[    if not caffe.has_nccl():
        raise SystemExit('Training on several GPUs needs a Caffe that was built with NCCL; '
                         'this one was not. One process trains with `ul2q train`, `caffe train` '
                         'or caffe.get_solver.')
    # NCCL uses a uid to identify a session]])

# A process that has been forked cannot use CUDA once its parent has. One that fails leaves the others waiting in NCCL.
ul2q_repair(python/train.py
  FROM [[from multiprocessing import Process]]
  TO [[from multiprocessing import get_context
from multiprocessing.connection import wait]])
ul2q_repair(python/train.py
  FROM [[        p = Process(target=solve,
                    args=(solver, snapshot, gpus, timing, uid, rank))]]
  TO [[        p = get_context('spawn').Process(
            target=solve, args=(solver, snapshot, gpus, timing, uid, rank))]])
ul2q_repair(python/train.py
  FROM [[    for p in procs:
        p.join()]]
  TO [[    running = dict(zip((p.sentinel for p in procs), range(len(procs))))
    while running:
        for sentinel in wait(running):
            rank = running.pop(sentinel)
            procs[rank].join()
            if procs[rank].exitcode != 0:
                for p in procs:
                    p.terminate()
                raise SystemExit('Training has ended: the process of GPU %d failed' % gpus[rank])]])

# The solver of the prototxt's type, and to max_iter, not max_iter more.
ul2q_repair(python/train.py
  FROM [[    solver = caffe.SGDSolver(proto)]]
  TO [[    solver = caffe.get_solver(proto)]])
ul2q_repair(python/train.py
  FROM [[    solver.step(solver.param.max_iter)]]
  TO [[    solver.step(solver.param.max_iter - solver.iter)]])
