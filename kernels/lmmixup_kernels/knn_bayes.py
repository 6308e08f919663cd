KnnBayes = None
knn_bayes = None
